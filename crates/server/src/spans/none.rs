//! Without the feature `otlp`: nothing.

use super::{Answered, Asked};
use crate::config::LogSetting;

/// No spans.
#[derive(Clone)]
pub(crate) struct Spans;

/// No span.
pub(crate) struct Span;

/// What would be the parent of another one.
#[derive(Clone, Default)]
pub(crate) struct Parent;

impl Spans {
    #[inline]
    pub(crate) const fn new() -> Self {
        Self
    }

    #[inline]
    #[expect(clippy::unused_self, reason = "the same as where there are spans")]
    pub(crate) fn start(&self, _: &LogSetting) {}

    #[inline]
    #[expect(clippy::unused_async, reason = "the same as where there are spans")]
    pub(crate) async fn stop(&self) {}

    #[inline]
    #[expect(clippy::unused_self, reason = "the same as where there are spans")]
    pub(crate) const fn request(&self, _: &Asked<'_>) -> Span {
        Span
    }

    #[inline]
    #[expect(clippy::unused_self, reason = "the same as where there are spans")]
    pub(crate) const fn child(&self, _: &'static str, _: &Parent) -> Span {
        Span
    }

    #[inline]
    #[expect(clippy::unused_self, reason = "the same as where there are spans")]
    pub(crate) fn commit<'a>(&self, _: impl Iterator<Item = &'a mut Span>) -> Span {
        Span
    }
}

impl Span {
    #[inline]
    #[expect(clippy::unused_self, reason = "the same as where there are spans")]
    pub(crate) const fn as_parent(&self) -> Parent {
        Parent
    }

    #[inline]
    pub(crate) const fn answered(self, _: &Answered<'_>) {}

    #[inline]
    pub(crate) const fn committed<T>(self, _: usize, _: &Result<T, regrant_store::Unavailable>) {}
}
