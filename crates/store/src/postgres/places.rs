//! Where grants are used from: noted with the first refresh from there, for many grants by one statement.

use super::values::P;
use crate::Record;
use crate::beside::Place;

/// The first place stays; a later one replaces the last if it is another.
pub(super) const PUT: &str = "INSERT INTO grant_places (number, first_at, first_network, first_agent, last_at, last_network, last_agent) \
    SELECT number, seen_at, network, agent, seen_at, network, agent FROM unnest($1, $2, $3, $4) AS n (number, seen_at, network, agent) \
    ON CONFLICT (number) DO UPDATE SET last_at = excluded.last_at, last_network = excluded.last_network, \
    last_agent = excluded.last_agent \
    WHERE grant_places.last_network <> excluded.last_network OR grant_places.last_agent <> excluded.last_agent";

/// A grant, and where it was used from.
pub(super) type Seen<'a> = (u64, &'a Place);

/// What a record says of a place.
pub(super) const fn seen(record: &Record) -> Option<Seen<'_>> {
    match record {
        Record::Seen { grant, place } => Some((*grant, place)),
        _ => None,
    }
}

/// The parameters of [`PUT`]: no grant may be among them twice.
pub(super) fn parameters<'a>(rows: &[Seen<'a>]) -> Vec<P<'a>> {
    let texts = |of: fn(&Place) -> &str| P::Us(rows.iter().map(|(_, place)| Some(of(place).into())).collect());
    vec![
        P::Ns(rows.iter().map(|(grant, _)| grant.cast_signed()).collect()),
        P::Ns(rows.iter().map(|(_, place)| place.at.millis()).collect()),
        texts(|place| &place.network),
        texts(|place| &place.agent),
    ]
}
