//! A browser of few abilities: cookies, redirects within the server, forms. What it sees is what the pages say.

use std::collections::BTreeMap;

use super::http::{Http, Reply};
use super::{PASSWORD, USER};

/// A browser with its cookies.
#[derive(Clone, Debug)]
pub struct Browser {
    http: Http,
    base: String,
    cookies: BTreeMap<String, String>,
}

/// A form on a page.
#[derive(Clone, Debug)]
pub struct PageForm {
    /// Where it goes.
    pub action: String,
    /// Its hidden fields.
    pub hidden: Vec<(String, String)>,
}

impl Browser {
    /// A browser that has never been here.
    #[must_use]
    pub fn new(base: &str) -> Self {
        Self { http: Http::new(base), base: base.to_owned(), cookies: BTreeMap::new() }
    }

    /// The same from this address of the machine. Its cookies come along.
    #[must_use]
    pub fn moved_to(self, address: &str) -> Self {
        Self { http: Http::from(&self.base, address), ..self }
    }

    /// The cookies, for tests that look at them.
    #[must_use]
    pub const fn cookies(&self) -> &BTreeMap<String, String> {
        &self.cookies
    }

    /// Loads a page; redirects are not followed.
    pub async fn get(&mut self, path: &str) -> Reply {
        let cookies = self.cookie_header();
        let reply = self.http.get(path, &[("cookie", &cookies)]).await;
        self.keep_cookies(&reply);
        reply
    }

    /// Follows a link of another site, as browsers tell it.
    pub async fn get_from_another_site(&mut self, path: &str) -> Reply {
        let cookies = self.cookie_header();
        let reply = self.http.get(path, &[("cookie", &cookies), ("sec-fetch-site", "cross-site")]).await;
        self.keep_cookies(&reply);
        reply
    }

    /// Sends a form; redirects are not followed.
    pub async fn post(&mut self, path: &str, parameters: &[(&str, &str)]) -> Reply {
        let cookies = self.cookie_header();
        let reply = self.http.post(path, parameters, &[("cookie", &cookies)]).await;
        self.keep_cookies(&reply);
        reply
    }

    /// Follows redirects for as long as they lead back to the server.
    pub async fn follow(&mut self, mut reply: Reply) -> Reply {
        for _ in 0..10 {
            let location = reply.header("location");
            let here = location.starts_with('/') || location.starts_with(&format!("{}/", self.base));
            if reply.status.as_u16() != 303 || !here {
                return reply;
            }
            reply = self.get(&location).await;
        }
        panic!("redirects without end");
    }

    /// Submits the only form of a page with these fields added.
    pub async fn submit(&mut self, page: &Reply, fields: &[(&str, &str)]) -> Reply {
        let form = form(&page.text());
        let mut parameters: Vec<(&str, &str)> =
            form.hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        parameters.extend(fields);
        self.post(&form.action, &parameters).await
    }

    /// Logs in on a login page.
    pub async fn log_in(&mut self, page: &Reply, name: &str) -> Reply {
        let reply = self.submit(page, &[("username", name), ("password", PASSWORD)]).await;
        self.follow(reply).await
    }

    /// From an authorization request to the redirect that leaves the server: logs in and allows where asked.
    pub async fn authorize_as(&mut self, path: &str, name: &str) -> String {
        let reply = self.get(path).await;
        let mut reply = self.follow(reply).await;
        if reply.text().contains("id=\"login-submit\"") {
            reply = self.log_in(&reply, name).await;
        }
        if reply.text().contains("id=\"consent-allow\"") {
            reply = self.submit(&reply, &[("decision", "allow")]).await;
        }
        assert_eq!(reply.status.as_u16(), 303, "{}", reply.text());
        reply.header("location")
    }

    /// The same, down to the code.
    pub async fn log_in_for_code(&mut self, path: &str) -> String {
        let location = self.authorize_as(path, USER).await;
        parameter(&location, "code").unwrap_or_else(|| panic!("no code in {location}"))
    }

    fn cookie_header(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn keep_cookies(&mut self, reply: &Reply) {
        for header in reply.headers.get_all("set-cookie") {
            let text = header.to_str().expect("printable");
            let (pair, attributes) = text.split_once(';').unwrap_or((text, ""));
            let (name, value) = pair.split_once('=').expect("name=value");
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// The first form of a page that has hidden fields.
#[must_use]
pub fn form(page: &str) -> PageForm {
    let start = page.find("<form").expect("a form");
    let end = page[start..].find("</form>").map_or(page.len(), |end| start + end);
    let form = &page[start..end];
    let action = attribute(form, "action").expect("an action");
    let hidden = form
        .split("<input")
        .skip(1)
        .filter(|input| attribute(input, "type").as_deref() == Some("hidden"))
        .filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value").unwrap_or_default())))
        .collect();
    PageForm { action, hidden }
}

/// A parameter of a redirect's query or fragment.
#[must_use]
pub fn parameter(location: &str, name: &str) -> Option<String> {
    let start = location.find(['?', '#'])?;
    let form = regrant_server::form::Form::parse(&location.as_bytes()[start + 1..]).ok()?;
    form.credential(name).map(str::to_owned)
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = tag.find(&format!("{name}=\""))? + name.len() + 2;
    let end = tag[start..].find('"')? + start;
    Some(unescape(&tag[start..end]))
}

fn unescape(text: &str) -> String {
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#x27;", "'"),
        ("&#39;", "'"),
        ("&#x2f;", "/"),
        ("&#x2F;", "/"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    .replace("&amp;", "&")
}
