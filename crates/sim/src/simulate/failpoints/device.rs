//! A device on its way to tokens (RFC 8628), with something going wrong at each point of each step.
//!
//! | the step that was disturbed | confirmed                            | not confirmed                                                |
//! |-----------------------------|--------------------------------------|--------------------------------------------------------------|
//! | it asks for a code          | the code leads to tokens, once       | it asks again, and that leads to tokens, once                |
//! | its user allows it          | the code leads to tokens, once       | it was answered all the same, or can be answered now         |
//! | its user refuses it         | `access_denied`                      | the same                                                     |
//! | it asks for its tokens      | the code is spent                    | the code leads to tokens, once, or is spent: it begins anew  |

use std::time::Duration;

use regrant_core::device::Reply as Answered;
use serde_json::Value;

use super::super::acts;
use super::super::node::{Done, What};
use super::{Bench, Step, token_of};
use crate::wire::Reply;
use crate::wire::device::DEVICE_CODE;

const FORM: &str = "application/x-www-form-urlencoded";

type Asked = (String, String, Vec<(&'static str, String)>);

impl Bench {
    /// Up to the step.
    pub(super) fn prepare_device(&mut self, step: Step) {
        if step == Step::Ask {
            return;
        }
        let told = self.post(&asking());
        self.device_code = code_of(&told).expect("a device code");
        if step == Step::Redeem {
            assert!(self.answered(Answered::Allow), "it is allowed");
            // What comes now is not asked too soon.
            self.clock.advance(Duration::from_secs(6));
        }
    }

    pub(super) fn operate_device(&mut self, step: Step) {
        match step {
            Step::Ask => self.send(&asking(), FORM),
            Step::Allow => self.answer(Answered::Allow),
            Step::Refuse => self.answer(Answered::Refuse),
            Step::Redeem => self.send(&self.polling(), FORM),
        }
    }

    pub(super) fn device(&mut self, step: Step, done: Option<&Done>) -> Result<(), String> {
        let confirmed = matches!(done, Some(Done::Acted(true)));
        match step {
            Step::Ask => {
                let heard = match done {
                    Some(Done::Reply(reply)) => code_of(reply),
                    _ => None,
                };
                match heard {
                    Some(code) => {
                        self.device_code = code;
                        self.expect_pending()?;
                        self.goes_through()
                    }
                    None => self.begins_anew(),
                }
            }
            Step::Allow => {
                let first = self.poll();
                match (token_of(&first), confirmed) {
                    (Some(token), _) => self.is_given_once(&token),
                    (None, true) => Err(format!("it was allowed, and heard {}", error_of(&first))),
                    (None, false) if error_of(&first) == "authorization_pending" => self.goes_through(),
                    (None, false) => Err(format!("nobody answered, and it heard {}", error_of(&first))),
                }
            }
            Step::Refuse => {
                let heard = error_of(&self.poll());
                match (heard.as_str(), confirmed) {
                    ("access_denied", _) => Ok(()),
                    ("authorization_pending", false) if self.answered(Answered::Refuse) => {
                        let heard = error_of(&self.later());
                        if heard == "access_denied" {
                            Ok(())
                        } else {
                            Err(format!("it was refused, and heard {heard}"))
                        }
                    }
                    _ => Err(format!("it was refused ({confirmed}), and heard {heard}")),
                }
            }
            Step::Redeem => {
                let heard = match done {
                    Some(Done::Reply(reply)) => token_of(reply),
                    _ => None,
                };
                let again = self.poll();
                match (heard, token_of(&again)) {
                    (Some(_), Some(_)) => Err("a device code was redeemed twice".to_owned()),
                    // At once again is a double click, as with a code, and ends nothing; three seconds later it is a replay.
                    (Some(first), None) => {
                        let next = self.post(&refreshing(&first));
                        let is_fine = matches!(next.status.as_u16(), 200 | 400);
                        if is_fine { Ok(()) } else { Err(format!("its first token heard {}", next.status)) }
                    }
                    (None, Some(second)) => self.is_given_once(&second),
                    (None, None) if error_of(&again) == "invalid_grant" => self.begins_anew(),
                    (None, None) => Err(format!("its answer was lost, and it heard {}", error_of(&again))),
                }
            }
        }
    }

    pub(super) fn polling(&self) -> Asked {
        let form = [("grant_type", DEVICE_CODE), ("device_code", self.device_code.as_str()), ("client_id", "tv")];
        ("/oauth2/token".to_owned(), regrant_server::form::write(&form), Vec::new())
    }

    fn poll(&mut self) -> Reply {
        let request = self.polling();
        self.post(&request)
    }

    /// The same when it is not too soon.
    fn later(&mut self) -> Reply {
        self.clock.advance(Duration::from_secs(30));
        self.poll()
    }

    fn answer(&mut self, reply: Answered) {
        let code = self.device_code.clone();
        let up = self.node.up.as_mut().expect("a node that runs");
        let work = acts::answer_device(up, &code, reply, 0);
        up.begin(What::End(0), 0, 0, work);
    }

    fn answered(&mut self, reply: Answered) -> bool {
        self.answer(reply);
        matches!(self.finish(), Some(Done::Acted(true)))
    }

    fn expect_pending(&mut self) -> Result<(), String> {
        let heard = error_of(&self.poll());
        if heard == "authorization_pending" {
            Ok(())
        } else {
            Err(format!("nobody has answered, and it heard {heard}"))
        }
    }

    /// It is allowed, which counts once, and gets its tokens, once.
    fn goes_through(&mut self) -> Result<(), String> {
        if !self.answered(Answered::Allow) {
            return Err("it cannot be allowed".to_owned());
        }
        let heard = self.later();
        match token_of(&heard) {
            Some(token) => self.is_given_once(&token),
            None => Err(format!("it was allowed, and heard {}", error_of(&heard))),
        }
    }

    /// Whose answer was lost asks for another code.
    fn begins_anew(&mut self) -> Result<(), String> {
        let told = self.post(&asking());
        self.device_code = code_of(&told).ok_or_else(|| format!("it asked again, and heard {}", told.status))?;
        self.goes_through()
    }

    /// It was given this token: no later answer changes that, the token works, and the code, presented again, gives no other one.
    fn is_given_once(&mut self, token: &str) -> Result<(), String> {
        if self.answered(Answered::Refuse) || self.answered(Answered::Allow) {
            return Err("it was answered twice".to_owned());
        }
        let next = self.post(&refreshing(token));
        let next = token_of(&next).ok_or_else(|| format!("its first token heard {}", next.status))?;
        let again = self.later();
        if token_of(&again).is_some() || error_of(&again) != "invalid_grant" {
            return Err(format!("its code came again, and heard {}", again.status));
        }
        // RFC 6749 section 4.1.2, as of any code: what it gave has ended.
        let ended = self.post(&refreshing(&next));
        if ended.status.as_u16() == 400 {
            Ok(())
        } else {
            Err(format!("its code was replayed, and it heard {}", ended.status))
        }
    }
}

fn asking() -> Asked {
    let form = [("client_id", "tv"), ("scope", "read")];
    ("/oauth2/device_authorization".to_owned(), regrant_server::form::write(&form), Vec::new())
}

fn refreshing(token: &str) -> Asked {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "tv")];
    ("/oauth2/token".to_owned(), regrant_server::form::write(&form), Vec::new())
}

fn code_of(reply: &Reply) -> Option<String> {
    if reply.status.as_u16() != 200 {
        return None;
    }
    reply.json().get("device_code").and_then(Value::as_str).map(str::to_owned)
}

fn error_of(reply: &Reply) -> String {
    if reply.status.as_u16() == 200 {
        return "tokens".to_owned();
    }
    reply.json().get("error").and_then(Value::as_str).unwrap_or_default().to_owned()
}
