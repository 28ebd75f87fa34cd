//! What the pages say, in every language there is: one file of `key = text` for each, all with the same keys and the same `{names}`.
//!
//! Which language a page has is decided in this order:
//!
//! | asked                                               | then                                                           |
//! |-----------------------------------------------------|----------------------------------------------------------------|
//! | `ui_locales` of the request names one that we speak | the first such: OpenID Connect Core section 3.1.2.1, "ordered by preference" |
//! | `Accept-Language` names one                         | the one of the greatest weight: RFC 9110 section 12.5.4        |
//! | nothing of this                                     | `[pages] language`, which is English unless set                |
//!
//! Of a tag only its language counts: `de-AT` is German. Nothing but a wish: what cannot be read is passed over.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The most wishes that are read.
const MOST_WISHES: usize = 32;

/// A language of the pages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// German.
    De,
    /// French.
    Fr,
    /// Spanish.
    Es,
    /// Chinese, simplified.
    Zh,
    /// Japanese.
    Ja,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::En, Self::De, Self::Fr, Self::Es, Self::Zh, Self::Ja];

    /// Its tag (RFC 5646), for `lang` and for settings.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
            Self::Fr => "fr",
            Self::Es => "es",
            Self::Zh => "zh",
            Self::Ja => "ja",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::En => include_str!("words/en.txt"),
            Self::De => include_str!("words/de.txt"),
            Self::Fr => include_str!("words/fr.txt"),
            Self::Es => include_str!("words/es.txt"),
            Self::Zh => include_str!("words/zh.txt"),
            Self::Ja => include_str!("words/ja.txt"),
        }
    }

    /// The language of a tag, if it is one of ours.
    #[must_use]
    pub fn of_tag(tag: &str) -> Option<Self> {
        let language = tag.split(['-', '_']).next().unwrap_or_default();
        Self::ALL.into_iter().find(|known| known.tag().eq_ignore_ascii_case(language))
    }

    /// The table of this module's description.
    #[must_use]
    pub fn choose(ui_locales: Option<&str>, accept_language: Option<&str>, unless_asked: Self) -> Self {
        let wished = ui_locales.and_then(|tags| tags.split(' ').take(MOST_WISHES).find_map(Self::of_tag));
        wished.or_else(|| accept_language.and_then(Self::accepted)).unwrap_or(unless_asked)
    }

    /// RFC 9110 section 12.5.4, with the weights of section 12.4.2. Of equal ones the first.
    fn accepted(header: &str) -> Option<Self> {
        let mut best: Option<(u16, Self)> = None;
        for range in header.split(',').take(MOST_WISHES) {
            let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
            let (Some(language), Some(weight)) = (Self::of_tag(tag.trim()), thousandths(weight)) else { continue };
            if weight > best.map_or(0, |(known, _)| known) {
                best = Some((weight, language));
            }
        }
        best.map(|(_, language)| language)
    }
}

/// `q=0.8` as 800.
fn thousandths(weight: &str) -> Option<u16> {
    let number = weight.trim().strip_prefix("q=").or_else(|| weight.trim().strip_prefix("Q="))?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let part = if part.len() <= 3 { format!("{part:0<3}") } else { return None };
    let number = whole.parse::<u16>().ok()?.checked_mul(1000)?.checked_add(part.parse().ok()?)?;
    (number <= 1000).then_some(number)
}

type Words = BTreeMap<&'static str, &'static str>;

static WORDS: LazyLock<[Words; 6]> = LazyLock::new(|| Language::ALL.map(|language| read(language.text())));

fn read(text: &'static str) -> Words {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(" = ")).collect()
}

fn words(language: Language) -> &'static Words {
    let [en, de, fr, es, zh, ja] = &*WORDS;
    match language {
        Language::En => en,
        Language::De => de,
        Language::Fr => fr,
        Language::Es => es,
        Language::Zh => zh,
        Language::Ja => ja,
    }
}

/// The text of a key as it stands in its file. A test holds all languages to the same keys.
pub(super) fn find(language: Language, key: &str) -> Option<&'static str> {
    words(language).get(key).copied()
}

/// A text with its `{names}` filled in, once: what is filled in is not looked at again.
pub(super) fn filled(text: &str, mut value: impl FnMut(&str) -> Option<String>) -> String {
    let mut whole = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        whole.push_str(before);
        let Some((name, behind)) = after.split_once('}') else {
            rest = after;
            break;
        };
        whole.push_str(&value(name).unwrap_or_default());
        rest = behind;
    }
    whole.push_str(rest);
    whole
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn names(text: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        filled(text, |name| {
            names.insert(name.to_owned());
            None
        });
        names
    }

    /// Every key is in every language, once, with the same names to fill in; and none is empty.
    #[test]
    fn every_language_says_everything() {
        let english = words(Language::En);
        for language in Language::ALL {
            let lines = language.text().lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
            let said = words(language);
            assert_eq!(said.len(), lines.count(), "{language:?}: a line is no `key = text`, or a key is there twice");
            assert_eq!(said.keys().collect::<Vec<_>>(), english.keys().collect::<Vec<_>>(), "{language:?}");
            for (key, text) in said {
                assert!(!text.trim().is_empty() && text.trim() == *text, "{language:?} {key}");
                assert_eq!(names(text), names(english[key]), "{language:?} {key}");
                assert!(!text.contains(['<', '>', '"', '\'']), "{language:?} {key}: words, no markup");
            }
            assert_eq!(said["date.months"].split('|').count(), 12, "{language:?}");
        }
    }

    /// A translation that is the English text was forgotten, but for the few words that are the same.
    #[test]
    fn no_translation_was_forgotten() {
        const SAME: [&str; 9] = [
            "error_title",
            "date.day",
            "date.minute",
            "date.months",
            "device.code",
            "time.minute",
            "time.second",
            "time.hour",
            "time.day",
        ];
        for language in Language::ALL.into_iter().skip(1) {
            for (key, text) in words(language) {
                assert!(*text != words(Language::En)[key] || SAME.contains(key), "{language:?} {key}: {text}");
            }
        }
    }

    /// No key is there that no template and no line of the program names.
    #[test]
    fn no_key_is_left_over() {
        let mut named = String::new();
        for file in super::super::tests::sources() {
            named.push_str(&std::fs::read_to_string(file).expect("a source file"));
        }
        // These are put together of a word and a name.
        const MADE: [&str; 6] = ["scope.", "failure.", "done.", "time.", "event.", "date."];
        let is_named = |key: &str| {
            named.contains(&format!("\"{key}\""))
                || MADE.iter().any(|made| key.starts_with(made) && named.contains(made))
        };
        let left: Vec<_> = words(Language::En).keys().filter(|key| !is_named(key)).collect();
        assert!(left.is_empty(), "{left:?}");
    }

    /// docs/pages.md lists every sentence of an error, as it is said.
    #[test]
    fn every_sentence_of_an_error_is_in_the_document() {
        let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/pages.md");
        let document = std::fs::read_to_string(document).expect("the document");
        let is_error = |key: &str| key.starts_with("error.") || key.ends_with("_error");
        for (key, text) in words(Language::En).iter().filter(|(key, _)| is_error(key)) {
            let row = document.lines().find(|line| line.starts_with(&format!("| `{key}` |")));
            assert!(row.is_some_and(|row| row.ends_with(&format!("| {text} |"))), "{key}: {row:?}");
        }
    }

    #[test]
    fn the_first_wish_that_can_be_fulfilled_is() {
        let choose = |locales, accepted| Language::choose(locales, accepted, Language::Es);
        for (locales, accepted, expected) in [
            (None, None, Language::Es),
            (Some("fr-CA fr en"), Some("de"), Language::Fr),
            (Some("tlh nl JA"), Some("de"), Language::Ja),
            (Some("tlh"), Some("de"), Language::De),
            (Some(""), Some("tlh, en-GB;q=0.5, zh-Hans-CN;q=0.7, de;q=0.7"), Language::Zh),
            (None, Some("de;q=0, *;q=0.1"), Language::Es),
            (None, Some("fr;q=2, de;q=x, en;q=0.0001"), Language::Es),
            (None, Some(";;;,,,q=,"), Language::Es),
        ] {
            assert_eq!(choose(locales, accepted), expected, "{locales:?} {accepted:?}");
        }
    }

    #[test]
    fn what_is_filled_in_is_not_looked_at_again() {
        let text = filled("{a} and {b}", |name| Some(if name == "a" { "{b}".to_owned() } else { "x".to_owned() }));
        assert_eq!(text, "{b} and x");
        assert_eq!(filled("open { end", |_| None), "open  end");
    }
}
