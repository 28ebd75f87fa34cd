//! The columns of a row, one by one.
//!
//! A value that we cannot have written (an era of -1, a blob of 31 bytes) is no error of the whole batch: it is replaced and
//! noted, so that it is this grant alone that is refused as tampered with (check K8).

use regrant_core::Timestamp;
use rusqlite::Row;
use rusqlite::types::ValueRef;

/// Takes columns one by one. What cannot be ours is replaced and noted in `is_sound`.
pub(super) struct Columns<'row, 'statement> {
    row: &'row Row<'statement>,
    next: usize,
    /// Whether all values so far may be ours.
    pub(super) is_sound: bool,
}

impl<'row, 'statement> Columns<'row, 'statement> {
    /// From the first on.
    pub(super) const fn of(row: &'row Row<'statement>) -> Self {
        Self { row, next: 0, is_sound: true }
    }

    fn take(&mut self) -> rusqlite::Result<ValueRef<'_>> {
        let column = self.next;
        self.next += 1;
        self.row.get_ref(column)
    }

    /// Notes that a value was missing.
    pub(super) fn sound<T>(&mut self, value: Option<T>) -> Option<T> {
        self.is_sound &= value.is_some();
        value
    }

    pub(super) fn optional_i64(&mut self) -> rusqlite::Result<Option<i64>> {
        let (value, is_sound) = match self.take()? {
            ValueRef::Null => (None, true),
            ValueRef::Integer(number) => (Some(number), true),
            ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => (None, false),
        };
        self.is_sound &= is_sound;
        Ok(value)
    }

    pub(super) fn i64(&mut self) -> rusqlite::Result<i64> {
        let number = self.optional_i64()?;
        Ok(self.sound(number).unwrap_or(0))
    }

    pub(super) fn u64(&mut self) -> rusqlite::Result<u64> {
        Ok(self.i64()?.cast_unsigned())
    }

    pub(super) fn small<T: TryFrom<i64> + Default>(&mut self) -> rusqlite::Result<T> {
        let number = T::try_from(self.i64()?).ok();
        Ok(self.sound(number).unwrap_or_default())
    }

    pub(super) fn flag(&mut self) -> rusqlite::Result<bool> {
        let number = self.i64()?;
        Ok(self.sound(matches!(number, 0 | 1).then_some(number == 1)).unwrap_or(false))
    }

    pub(super) fn time(&mut self) -> rusqlite::Result<Timestamp> {
        Ok(Timestamp::from_millis(self.i64()?))
    }

    pub(super) fn optional_time(&mut self) -> rusqlite::Result<Option<Timestamp>> {
        Ok(self.optional_i64()?.map(Timestamp::from_millis))
    }

    pub(super) fn text(&mut self) -> rusqlite::Result<String> {
        let text = self.text_as(str::to_owned)?;
        Ok(self.sound(text).unwrap_or_default())
    }

    /// What `read` makes of a text; `None` where there is none.
    pub(super) fn text_as<T>(&mut self, read: impl FnOnce(&str) -> T) -> rusqlite::Result<Option<T>> {
        Ok(match self.take()? {
            ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok().map(read),
            ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => None,
        })
    }

    /// What `read` makes of a text; `None` where there is a `NULL`.
    pub(super) fn optional_text_as<T>(&mut self, read: impl FnOnce(&str) -> T) -> rusqlite::Result<Option<T>> {
        let (value, is_sound) = match self.take()? {
            ValueRef::Null => (None, true),
            ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => (Some(read(text)), true),
                Err(_) => (None, false),
            },
            ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => (None, false),
        };
        self.is_sound &= is_sound;
        Ok(value)
    }

    pub(super) fn hash(&mut self) -> rusqlite::Result<Option<[u8; 32]>> {
        let (value, is_sound) = match self.take()? {
            ValueRef::Null => (None, true),
            ValueRef::Blob(bytes) => (bytes.try_into().ok(), bytes.len() == 32),
            ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Text(_) => (None, false),
        };
        self.is_sound &= is_sound;
        Ok(value)
    }

    pub(super) fn mac(&mut self) -> rusqlite::Result<[u8; 16]> {
        let mac = match self.take()? {
            ValueRef::Blob(bytes) => bytes.try_into().ok(),
            ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Text(_) => None,
        };
        Ok(self.sound(mac).unwrap_or_default())
    }
}
