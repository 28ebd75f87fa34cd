//! A tab: what a person does with it, and what a person and a screen reader see in it.

use base64::Engine as _;
use serde_json::{Value, json};

use super::devtools::Chromium;

/// A phone of usual size, in CSS pixels.
pub(crate) const PHONE: (u32, u32) = (390, 844);
/// A window on a desk.
pub(crate) const DESK: (u32, u32) = (1280, 800);

/// A tab with cookies of its own.
pub(crate) struct Tab {
    chromium: Chromium,
    session: String,
    picture: String,
}

impl Tab {
    /// Opens one: scripts of pages off, in this size, and listening to all complaints.
    pub(crate) async fn open(name: &str, (width, height): (u32, u32), dark: bool) -> Option<Self> {
        let mut chromium = Chromium::start(name)?;
        let target = chromium.call(None, "Target.createTarget", json!({"url": "about:blank"})).await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = chromium.call(None, "Target.attachToTarget", attach).await;
        let session = attached["sessionId"].as_str().expect("a session").to_owned();
        let mut tab = Self { chromium, session, picture: name.to_owned() };
        for domain in ["Page", "DOM", "Log", "Runtime", "Audits", "Network", "Accessibility"] {
            tab.call(&format!("{domain}.enable"), json!({})).await;
        }
        tab.call("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
        let is_phone = (width, height) == PHONE;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": if is_phone { 2 } else { 1 }, "mobile": is_phone});
        tab.call("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        tab.call("Emulation.setEmulatedMedia", media).await;
        Some(tab)
    }

    /// The same tab with the scripts of pages on, as most people have them.
    pub(crate) async fn with_scripts(mut self) -> Self {
        self.call("Emulation.setScriptExecutionDisabled", json!({"value": false})).await;
        self
    }

    async fn call(&mut self, method: &str, parameters: Value) -> Value {
        let session = self.session.clone();
        self.chromium.call(Some(&session), method, parameters).await
    }

    async fn loaded(&mut self) {
        let session = self.session.clone();
        self.chromium.event(&session, "Page.loadEventFired").await;
    }

    /// Follows a link to this address.
    pub(crate) async fn go(&mut self, url: &str) {
        self.chromium.take_events("Page.loadEventFired");
        let gone = self.call("Page.navigate", json!({"url": url})).await;
        assert!(gone["errorText"].is_null(), "{url}: {gone}");
        self.loaded().await;
    }

    /// Presses the back button. The page may come out of the browser's own cache, as it was left: then nothing is loaded.
    pub(crate) async fn back(&mut self) {
        self.chromium.take_events("Page.loadEventFired");
        self.chromium.take_events("Page.frameNavigated");
        let history = self.call("Page.getNavigationHistory", json!({})).await;
        let at = usize::try_from(history["currentIndex"].as_u64().expect("an index")).expect("small");
        let entry = history["entries"][at - 1]["id"].clone();
        self.call("Page.navigateToHistoryEntry", json!({"entryId": entry})).await;
        let session = self.session.clone();
        let gone = self.chromium.event(&session, "Page.frameNavigated").await;
        if gone["type"] != "BackForwardCacheRestore" {
            self.loaded().await;
        }
    }

    /// Where the tab is.
    pub(crate) async fn url(&mut self) -> String {
        let history = self.call("Page.getNavigationHistory", json!({})).await;
        let at = usize::try_from(history["currentIndex"].as_u64().expect("an index")).expect("small");
        history["entries"][at]["url"].as_str().expect("a URL").to_owned()
    }

    /// The page as the browser has it.
    pub(crate) async fn html(&mut self) -> String {
        let document = self.call("DOM.getDocument", json!({})).await;
        let html = self.call("DOM.getOuterHTML", json!({"nodeId": document["root"]["nodeId"]})).await;
        html["outerHTML"].as_str().expect("HTML").to_owned()
    }

    /// The element, or 0.
    async fn find(&mut self, selector: &str) -> u64 {
        let document = self.call("DOM.getDocument", json!({})).await;
        let query = json!({"nodeId": document["root"]["nodeId"], "selector": selector});
        self.call("DOM.querySelector", query).await["nodeId"].as_u64().unwrap_or_default()
    }

    /// Whether the page has it.
    pub(crate) async fn shows(&mut self, selector: &str) -> bool {
        self.find(selector).await != 0
    }

    /// Left, top, width and height of an element, in CSS pixels.
    pub(crate) async fn place(&mut self, selector: &str) -> [f64; 4] {
        let node = self.find(selector).await;
        assert_ne!(node, 0, "no {selector} in {}", self.html().await);
        self.call("DOM.scrollIntoViewIfNeeded", json!({"nodeId": node})).await;
        let model = self.call("DOM.getBoxModel", json!({"nodeId": node})).await["model"].clone();
        let corner = |at: usize| model["border"][at].as_f64().expect("a number");
        [corner(0), corner(1), model["width"].as_f64().expect("a width"), model["height"].as_f64().expect("a height")]
    }

    /// Clicks, and waits for the page that comes of it.
    pub(crate) async fn click(&mut self, selector: &str) {
        self.tap(selector).await;
        self.loaded().await;
    }

    /// Clicks, and waits until the browser complains of something.
    pub(crate) async fn click_in_vain(&mut self, selector: &str) -> String {
        self.tap(selector).await;
        let session = self.session.clone();
        self.chromium.event(&session, "Log.entryAdded").await.to_string()
    }

    async fn tap(&mut self, selector: &str) {
        let [left, top, width, height] = self.place(selector).await;
        self.chromium.take_events("Page.loadEventFired");
        for kind in ["mousePressed", "mouseReleased"] {
            let click = json!({"type": kind, "x": left + width / 2.0, "y": top + height / 2.0, "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", click).await;
        }
    }

    /// Types into a field, in place of what is there.
    pub(crate) async fn fill(&mut self, selector: &str, text: &str) {
        let node = self.find(selector).await;
        assert_ne!(node, 0, "no {selector}");
        self.call("DOM.focus", json!({"nodeId": node})).await;
        self.call("Input.dispatchKeyEvent", json!({"type": "keyDown", "commands": ["selectAll"]})).await;
        self.type_text(text).await;
    }

    /// Types wherever the focus is.
    pub(crate) async fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text})).await;
    }

    /// Presses a key that has a name.
    pub(crate) async fn press(&mut self, key: &str, code: u32, text: &str) {
        for kind in ["keyDown", "keyUp"] {
            let press = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": if kind == "keyDown" { text } else { "" }});
            self.call("Input.dispatchKeyEvent", press).await;
        }
    }

    /// Presses Enter, and waits for the page that comes of it.
    pub(crate) async fn enter(&mut self) {
        self.chromium.take_events("Page.loadEventFired");
        self.press("Enter", 13, "\r").await;
        self.loaded().await;
    }

    /// How wide the page is, scrolled part and all.
    pub(crate) async fn page_width(&mut self) -> f64 {
        self.call("Page.getLayoutMetrics", json!({})).await["cssContentSize"]["width"].as_f64().expect("a width")
    }

    /// What a screen reader is given: role and name of everything.
    pub(crate) async fn heard(&mut self) -> Vec<(String, String)> {
        let tree = self.call("Accessibility.getFullAXTree", json!({})).await;
        let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
        let word = |node: &Value, of: &str| node[of]["value"].as_str().unwrap_or_default().to_owned();
        nodes
            .iter()
            .filter(|node| node["ignored"] != true)
            .map(|node| (word(node, "role"), word(node, "name")))
            .collect()
    }

    /// The cookies that the browser kept for this site.
    pub(crate) async fn cookies(&mut self) -> Vec<Value> {
        self.call("Network.getCookies", json!({})).await["cookies"].as_array().cloned().unwrap_or_default()
    }

    /// Keeps a picture.
    pub(crate) async fn picture(&mut self, name: &str) {
        let shot = self.call("Page.captureScreenshot", json!({"format": "png"})).await;
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(shot["data"].as_str().expect("a picture"))
            .expect("base64");
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/screenshots");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(format!("{}-{name}.png", self.picture)), bytes).expect("a file");
    }

    /// Everything that the browser complained of so far: the console, refused by policy, issues, script errors. A page that is itself an
    /// error by its status is no complaint.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        for event in self.chromium.take_events("Log.entryAdded") {
            let entry = &event["params"]["entry"];
            let is_page =
                entry["source"] == "network" && entry["text"].as_str().is_some_and(|text| text.contains("status of 4"));
            if entry["level"] != "verbose" && !is_page {
                found.push(entry.to_string());
            }
        }
        for kind in ["Audits.issueAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"] {
            found.extend(self.chromium.take_events(kind).iter().map(|event| event["params"].to_string()));
        }
        found
    }
}
