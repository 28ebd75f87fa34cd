//! What devices asked for.

use regrant_core::device::Asked;
use regrant_core::issue::Granted;
use regrant_core::secret::Hash;
use regrant_core::{ClientId, GrantId, Resources, Scope, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::beside::Place;
use crate::device::{DeviceRequest, MOST_DEVICE_REQUESTS, TIDIED};

const OVER: &str = "DELETE FROM device_requests WHERE number IN \
    (SELECT number FROM device_requests WHERE expires_at < ?1 ORDER BY expires_at, number LIMIT ?2)";

pub(super) fn put(connection: &Connection, request: &DeviceRequest, now: Timestamp) -> rusqlite::Result<usize> {
    sweep(connection, now, TIDIED)?;
    let waiting: u32 =
        connection.prepare_cached("SELECT count(*) FROM device_requests")?.query_row([], |row| row.get(0))?;
    if waiting >= MOST_DEVICE_REQUESTS {
        return Ok(0);
    }
    let DeviceRequest { asked, user_code, place } = request;
    connection
        .prepare_cached(
            "INSERT INTO device_requests (number, random, secret, user_code, client, scope, resources, asked_at, expires_at, \
             network, agent) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            asked.grant.number.cast_signed(),
            asked.grant.random.cast_signed(),
            asked.secret.0.as_slice(),
            user_code.as_slice(),
            asked.client.as_str(),
            asked.granted.scope.to_string(),
            asked.granted.resources.to_string(),
            asked.asked_at.millis(),
            asked.expires_at.millis(),
            place.network,
            place.agent,
        ])
}

pub(super) fn sweep(connection: &Connection, now: Timestamp, limit: u32) -> rusqlite::Result<()> {
    connection.prepare_cached(OVER)?.execute(params![now.millis(), limit]).map(|_| ())
}

pub(super) fn numbered(connection: &Connection, number: u64) -> rusqlite::Result<Option<DeviceRequest>> {
    one(connection, "number", &number.cast_signed())
}

pub(super) fn showing(connection: &Connection, user_code: &[u8; 32]) -> rusqlite::Result<Option<DeviceRequest>> {
    one(connection, "user_code", &user_code.as_slice())
}

fn one(connection: &Connection, column: &str, value: &dyn rusqlite::ToSql) -> rusqlite::Result<Option<DeviceRequest>> {
    let sql = format!(
        "SELECT number, random, secret, user_code, client, scope, resources, asked_at, expires_at, network, agent \
         FROM device_requests WHERE {column} = ?1"
    );
    connection.prepare_cached(&sql)?.query_row([value], request).optional()
}

fn request(row: &Row<'_>) -> rusqlite::Result<DeviceRequest> {
    let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
    let time = |column| row.get::<_, i64>(column).map(Timestamp::from_millis);
    let text = |column| row.get::<_, String>(column);
    let damaged = || rusqlite::Error::InvalidQuery;
    let asked = Asked {
        grant: GrantId { number: number(0)?, random: number(1)? },
        secret: Hash(row.get(2)?),
        client: ClientId::parse(&text(4)?).ok_or_else(damaged)?,
        granted: Granted {
            scope: Scope::parse(&text(5)?).map_err(|_| damaged())?,
            resources: Resources::parse(&text(6)?).map_err(|_| damaged())?,
        },
        asked_at: time(7)?,
        expires_at: time(8)?,
    };
    let place = Place { at: asked.asked_at, network: text(9)?, agent: text(10)? };
    Ok(DeviceRequest { asked, user_code: row.get(3)?, place })
}
