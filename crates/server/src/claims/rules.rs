//! What of a user's record a token carries, and under which name: `claims`, `access_token_claims` and `static_claims`.
//!
//! An entry names an attribute; `"department as dept"` gives it another name in the token.

use serde_json::{Map, Value};

use super::names::{self, BadClaim};

/// The most entries of one list.
pub const MAX_TAKES: usize = 64;

/// An attribute, and the claim it becomes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Take {
    /// The attribute's name in the user's record.
    pub attribute: String,
    /// Its name in the token.
    pub claim: String,
}

/// What one resource or client wants in access tokens.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rules {
    /// From the user's record.
    pub takes: Vec<Take>,
    /// The same for everybody.
    pub fixed: Map<String, Value>,
}

/// What a client's definition says about the claims of its access tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientClaims {
    /// `access_token_claims` and `static_claims`.
    pub rules: Rules,
    /// Whether the token hook is asked.
    pub hook: bool,
}

impl Take {
    /// Reads `attribute` or `attribute as claim`.
    ///
    /// # Errors
    /// [`BadClaim`] for either name.
    pub fn read(text: &str) -> Result<Self, BadClaim> {
        let (attribute, claim) = text.split_once(" as ").unwrap_or((text, text));
        names::check_name(attribute)?;
        names::check_name(claim)?;
        Ok(Self { attribute: attribute.to_owned(), claim: claim.to_owned() })
    }
}

impl Rules {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.takes.is_empty() && self.fixed.is_empty()
    }

    /// Reads both settings. The first number is the position in the list, `None` for the table.
    ///
    /// # Errors
    /// Every entry that cannot be taken, with what is wrong with it.
    pub fn read(takes: &[String], fixed: &Map<String, Value>) -> Result<Self, Vec<(Option<usize>, String)>> {
        let mut wrong = Vec::new();
        if takes.len() > MAX_TAKES {
            wrong.push((None, format!("there are {} claims, and {MAX_TAKES} are the limit", takes.len())));
        }
        let mut read: Vec<Take> = Vec::new();
        for (index, text) in takes.iter().enumerate() {
            let shown: String = text.chars().take(80).collect();
            match Take::read(text) {
                Err(bad) => wrong.push((Some(index), format!("{shown:?}: {bad}"))),
                Ok(take) if read.iter().any(|known| known.claim == take.claim) => {
                    wrong.push((Some(index), format!("{shown:?} gives a claim that another entry gives")));
                }
                Ok(take) => read.push(take),
            }
        }
        for (name, value) in fixed {
            let checked = names::check_name(name).and_then(|()| names::check_value(value));
            if let Err(bad) = checked {
                let shown: String = name.chars().take(80).collect();
                wrong.push((None, format!("{shown:?}: {bad}")));
            }
        }
        let bytes = serde_json::to_string(fixed).map_or(usize::MAX, |text| text.len());
        if bytes > super::MAX_CLAIMS {
            wrong.push((None, format!("they take {bytes} bytes of JSON, and {} are the limit", super::MAX_CLAIMS)));
        }
        if wrong.is_empty() { Ok(Self { takes: read, fixed: fixed.clone() }) } else { Err(wrong) }
    }
}
