//! Parameters and columns.
//!
//! PostgreSQL keeps no U+0000 in a text. What we are given may hold one, and must come back as it was (the contract): it is escaped, and
//! so is the escape. All else stands in a column as it is, for whoever looks at it with psql.

use std::borrow::Cow;
use std::error::Error as StdError;

use regrant_core::chain::Value;
use regrant_core::{ChainKey, Link, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::line::Fault;
use crate::seal::Table;

const ESCAPE: char = '\u{1a}';

/// A text as its column holds it.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', ESCAPE]) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\0' => escaped.extend([ESCAPE, '0']),
            ESCAPE => escaped.extend([ESCAPE, '1']),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

/// Reverses [`escaped`]; `None` for what it never makes.
pub(super) fn unescaped(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(ESCAPE) {
        return Some(Cow::Borrowed(text));
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            ESCAPE => match characters.next()? {
                '0' => '\0',
                '1' => ESCAPE,
                _ => return None,
            },
            other => other,
        });
    }
    Some(Cow::Owned(plain))
}

/// A parameter, of the type that its statement expects.
#[derive(Debug)]
pub(super) enum P<'a> {
    /// A number.
    N(i64),
    /// A number or NULL.
    O(Option<i64>),
    /// A text.
    T(&'a str),
    /// A text or NULL.
    U(Option<&'a str>),
    /// Bytes.
    B(&'a [u8]),
    /// Bytes or NULL.
    C(Option<&'a [u8]>),
    /// Many numbers.
    Ns(Vec<i64>),
    /// Many numbers or NULLs.
    Os(Vec<Option<i64>>),
    /// Many texts or NULLs.
    Us(Vec<Option<Cow<'a, str>>>),
    /// Many bytes or NULLs.
    Cs(Vec<Option<&'a [u8]>>),
    /// Many bytes that were made for it.
    Bodies(Vec<Vec<u8>>),
}

/// A u64 as its column holds it.
pub(super) const fn n(number: u64) -> P<'static> {
    P::N(number.cast_signed())
}

/// A time.
pub(super) const fn at(time: Timestamp) -> P<'static> {
    P::N(time.millis())
}

/// A time or none.
pub(super) fn maybe(time: Option<Timestamp>) -> P<'static> {
    P::O(time.map(Timestamp::millis))
}

impl P<'_> {
    pub(super) const fn of_type(&self) -> Type {
        match self {
            Self::N(_) | Self::O(_) => Type::INT8,
            Self::T(_) | Self::U(_) => Type::TEXT,
            Self::B(_) | Self::C(_) => Type::BYTEA,
            Self::Ns(_) | Self::Os(_) => Type::INT8_ARRAY,
            Self::Us(_) => Type::TEXT_ARRAY,
            Self::Cs(_) | Self::Bodies(_) => Type::BYTEA_ARRAY,
        }
    }
}

impl ToSql for P<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Self::N(number) => number.to_sql(ty, out),
            Self::O(number) => number.to_sql(ty, out),
            Self::T(text) => escaped(text).to_sql(ty, out),
            Self::U(text) => text.map(escaped).to_sql(ty, out),
            Self::B(bytes) => bytes.to_sql(ty, out),
            Self::C(bytes) => bytes.to_sql(ty, out),
            Self::Ns(numbers) => numbers.to_sql(ty, out),
            Self::Os(numbers) => numbers.to_sql(ty, out),
            Self::Us(texts) => texts.to_sql(ty, out),
            Self::Cs(bytes) => bytes.to_sql(ty, out),
            Self::Bodies(bodies) => bodies.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        [Type::INT8, Type::TEXT, Type::BYTEA, Type::INT8_ARRAY, Type::TEXT_ARRAY, Type::BYTEA_ARRAY].contains(ty)
    }

    to_sql_checked!();
}

/// Any whole number, whatever its width.
struct Number(i64);

impl<'a> FromSql<'a> for Number {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(match *ty {
            Type::INT2 => i64::from(i16::from_sql(ty, raw)?),
            Type::INT4 => i64::from(i32::from_sql(ty, raw)?),
            _ => i64::from_sql(ty, raw)?,
        }))
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT2 | Type::INT4 | Type::INT8)
    }
}

/// Takes columns one by one. What cannot be ours is replaced and noted in `is_sound`, so that it is this grant alone that is refused as
/// tampered with (check K8); elsewhere [`Columns::whole`] makes a fault of it.
pub(super) struct Columns<'row> {
    row: &'row Row,
    next: usize,
    /// Whether all values so far may be ours.
    pub(super) is_sound: bool,
}

impl<'row> Columns<'row> {
    /// From this column on.
    pub(super) const fn from(row: &'row Row, next: usize) -> Self {
        Self { row, next, is_sound: true }
    }

    /// From the first one on.
    pub(super) const fn of(row: &'row Row) -> Self {
        Self::from(row, 0)
    }

    fn take<T: FromSql<'row>>(&mut self) -> Option<T> {
        let column = self.next;
        self.next += 1;
        // Another type than expected is a table that somebody has changed.
        match self.row.try_get::<_, Option<T>>(column) {
            Ok(value) => value,
            Err(_) => self.sound(None),
        }
    }

    /// Notes that a value was missing.
    pub(super) fn sound<T>(&mut self, value: Option<T>) -> Option<T> {
        self.is_sound &= value.is_some();
        value
    }

    pub(super) fn optional_i64(&mut self) -> Option<i64> {
        self.take::<Number>().map(|number| number.0)
    }

    pub(super) fn i64(&mut self) -> i64 {
        let number = self.optional_i64();
        self.sound(number).unwrap_or(0)
    }

    pub(super) fn u64(&mut self) -> u64 {
        self.i64().cast_unsigned()
    }

    pub(super) fn optional_u64(&mut self) -> Option<u64> {
        self.optional_i64().map(i64::cast_unsigned)
    }

    /// The bit pattern of a u32 in an `integer`.
    pub(super) fn pattern(&mut self) -> u32 {
        let number = i32::try_from(self.i64()).ok();
        self.sound(number).unwrap_or(0).cast_unsigned()
    }

    pub(super) fn small<T: TryFrom<i64> + Default>(&mut self) -> T {
        let number = T::try_from(self.i64()).ok();
        self.sound(number).unwrap_or_default()
    }

    pub(super) fn flag(&mut self) -> bool {
        let number = self.i64();
        self.sound(matches!(number, 0 | 1).then_some(number == 1)).unwrap_or(false)
    }

    pub(super) fn boolean(&mut self) -> bool {
        let value = self.take::<bool>();
        self.sound(value).unwrap_or(false)
    }

    pub(super) fn time(&mut self) -> Timestamp {
        Timestamp::from_millis(self.i64())
    }

    pub(super) fn optional_time(&mut self) -> Option<Timestamp> {
        self.optional_i64().map(Timestamp::from_millis)
    }

    pub(super) fn text(&mut self) -> String {
        let text = self.optional_text();
        self.sound(text).unwrap_or_default()
    }

    pub(super) fn optional_text(&mut self) -> Option<String> {
        let text = self.take::<&str>()?;
        let plain = unescaped(text).map(Cow::into_owned);
        self.sound(plain)
    }

    pub(super) fn bytes(&mut self) -> Option<Vec<u8>> {
        self.take::<&[u8]>().map(<[u8]>::to_vec)
    }

    /// Bytes where they lie.
    pub(super) fn slice(&mut self) -> &'row [u8] {
        let bytes = self.take::<&[u8]>();
        self.sound(bytes).unwrap_or_default()
    }

    pub(super) fn hash(&mut self) -> Option<[u8; 32]> {
        let bytes = self.take::<&[u8]>()?;
        self.sound(bytes.try_into().ok())
    }

    pub(super) fn array<const N: usize>(&mut self) -> [u8; N] {
        let bytes = self.take::<&[u8]>().and_then(|bytes| bytes.try_into().ok());
        self.sound(bytes).unwrap_or([0; N])
    }

    /// The value, if all of it may be ours.
    pub(super) fn whole<T>(&self, value: T) -> Result<T, Fault> {
        if self.is_sound { Ok(value) } else { Err(Fault::damaged("a row holds a value that is not ours")) }
    }
}

/// The MAC of a row of a sealed table, over the values that SQLite keeps: a store that is moved keeps its seal.
pub(super) fn link(row: &Row, table: Table, key: &ChainKey) -> Result<Link, Fault> {
    enum Held<'row> {
        Null,
        Number(i64),
        Text(Cow<'row, str>),
        Bytes(&'row [u8]),
    }
    let foreign = || Fault::damaged("a sealed row holds a value that is not ours");
    let held = |place: usize, kind: &Type| {
        let held = match *kind {
            Type::TEXT => match row.try_get::<_, Option<&str>>(place).map_err(|_| foreign())? {
                Some(text) => Held::Text(unescaped(text).ok_or_else(foreign)?),
                None => Held::Null,
            },
            Type::BYTEA => {
                let bytes: Option<&[u8]> = row.try_get(place).map_err(|_| foreign())?;
                bytes.map_or(Held::Null, Held::Bytes)
            }
            _ => {
                let number: Option<Number> = row.try_get(place).map_err(|_| foreign())?;
                number.map_or(Held::Null, |number| Held::Number(number.0))
            }
        };
        Ok(held)
    };
    let columns = row.columns().iter().enumerate();
    let held = columns.map(|(place, column)| held(place, column.type_())).collect::<Result<Vec<Held<'_>>, Fault>>()?;
    let values = held.iter().map(|held| match held {
        Held::Null => Value::Null,
        Held::Number(number) => Value::Number(*number),
        Held::Text(text) => Value::Text(text.as_bytes()),
        Held::Bytes(bytes) => Value::Bytes(bytes),
    });
    Ok(table.link(key, values.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_text_cannot_hold_comes_back() {
        for text in ["", "plain", "\0", "a\0b", "\u{1a}", "\u{1a}0\0\u{1a}1", "\u{10ffff}'\""] {
            let held = escaped(text);
            assert!(!held.contains('\0'), "{text:?}");
            assert_eq!(unescaped(&held).as_deref(), Some(text));
        }
        assert_eq!(unescaped("\u{1a}x"), None);
        assert_eq!(unescaped("\u{1a}"), None);
    }
}
