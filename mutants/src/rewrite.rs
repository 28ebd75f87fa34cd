//! One source with all its changes, each behind its switch.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::Value;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

/// What is put at the end of the crate.
pub const SWITCH_SOURCE: &str = r#"
/// Whether this change is the one that is switched on.
#[doc(hidden)]
#[must_use]
pub fn mutant_switch(number: u32) -> bool {
    static ON: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *ON.get_or_init(|| std::env::var("REGRANT_MUTANT").ok().and_then(|on| on.parse().ok()).unwrap_or(0)) == number
}
"#;

/// A change, as `cargo mutants --list --json` tells it.
pub struct Change {
    /// From 1.
    pub number: usize,
    pub name: String,
    pub file: String,
    pub genre: String,
    replacement: String,
    /// Line and column, from 1.
    start: (usize, usize),
}

/// A range of the text that was written, and the changes that it may be wrong for.
pub struct Place {
    pub start: usize,
    pub end: usize,
    pub changes: Vec<usize>,
}

pub struct Rewritten {
    pub text: String,
    pub places: Vec<Place>,
    /// Changes for which there is no place, such as in a chain of `let`.
    pub not_placed: BTreeSet<usize>,
}

impl Change {
    pub fn read(value: &Value) -> Self {
        static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(1);
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let start = &value["span"]["start"];
        let at = |name: &str| start[name].as_u64().unwrap_or_default() as usize;
        Self {
            number: NUMBER.fetch_add(1, std::sync::atomic::Ordering::SeqCst),
            name: text("name"),
            file: text("file"),
            genre: text("genre"),
            replacement: text("replacement"),
            start: (at("line"), at("column")),
        }
    }
}

/// What stands in a range instead: one of the changed texts, or what was there.
struct Wrap {
    range: Range<usize>,
    /// Before the choice.
    prefix: String,
    choices: Vec<(usize, String)>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An expression.
    Choice,
    /// The beginning of a function, where a change returns.
    Return,
    /// The end of a pattern without a guard.
    Guard,
    /// A word that is left out.
    Gone,
}

pub fn rewrite(
    source: &str,
    changes: &[&Change],
    left_out: &BTreeSet<usize>,
    constant: &BTreeSet<String>,
) -> Rewritten {
    let file = syn::parse_file(source).expect("Rust");
    let lines: Vec<usize> = std::iter::once(0).chain(source.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let byte = |(line, column): (usize, usize)| {
        let start = lines[line - 1];
        start + source[start..].chars().take(column - 1).map(char::len_utf8).sum::<usize>()
    };
    let open = changes.iter().filter(|change| !left_out.contains(&change.number));
    let open: Vec<(usize, &Change)> = open.map(|change| (byte(change.start), *change)).collect();
    let mut finder = Finder { source, open: &open, constant, wraps: Vec::new(), placed: BTreeSet::new() };
    finder.visit_file(&file);
    let Finder { mut wraps, placed, .. } = finder;
    wraps.sort_by_key(|wrap| (wrap.range.start, std::cmp::Reverse(wrap.range.end)));
    let mut writer = Writer { source, wraps: &wraps, text: String::new(), places: Vec::new() };
    writer.write(0..source.len(), 0);
    let not_placed = open.iter().map(|(_, change)| change.number).filter(|number| !placed.contains(number)).collect();
    Rewritten { text: writer.text, places: writer.places, not_placed }
}

struct Finder<'a> {
    source: &'a str,
    open: &'a [(usize, &'a Change)],
    constant: &'a BTreeSet<String>,
    wraps: Vec<Wrap>,
    placed: BTreeSet<usize>,
}

impl Finder<'_> {
    fn at(&self, genre: &str, at: usize) -> Vec<(usize, String)> {
        let fits = self.open.iter().filter(|(start, change)| *start == at && change.genre == genre);
        fits.map(|(_, change)| (change.number, change.replacement.clone())).collect()
    }

    fn put(&mut self, range: Range<usize>, prefix: String, choices: Vec<(usize, String)>, kind: Kind) {
        if choices.is_empty() && kind != Kind::Gone {
            return;
        }
        self.placed.extend(choices.iter().map(|(number, _)| *number));
        self.wraps.push(Wrap { range, prefix, choices, kind });
    }

    fn text(&self, of: &impl syn::spanned::Spanned) -> String {
        self.source[of.span().byte_range()].to_owned()
    }

    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) -> bool {
        if let Some(word) = signature.constness {
            if self.constant.contains(&signature.ident.to_string()) {
                return false;
            }
            self.put(word.span().byte_range(), String::new(), Vec::new(), Kind::Gone);
        }
        // What is returned as `impl Trait` has one type, and a change returns another: left out.
        let hides = matches!(&signature.output, syn::ReturnType::Type(_, output) if matches!(**output, syn::Type::ImplTrait(_)));
        if let Some(first) = block.stmts.first().filter(|_| !hides) {
            let choices = self.at("FnValue", first.span().byte_range().start);
            let begin = block.brace_token.span.open().byte_range().end;
            self.put(begin..begin, String::new(), choices, Kind::Return);
        }
        true
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if self.function(&item.sig, &item.block) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if self.function(&item.sig, &item.block) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        let choices = self.at("BinaryOperator", binary.op.span().byte_range().start);
        if !(has_let(&binary.left) || has_let(&binary.right)) {
            let (left, right) = (self.text(&binary.left), self.text(&binary.right));
            let choices =
                choices.into_iter().map(|(number, op)| (number, format!("({left}) {op} ({right})"))).collect();
            self.put(binary.span().byte_range(), String::new(), choices, Kind::Choice);
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'ast syn::ExprUnary) {
        let choices = self.at("UnaryOperator", unary.op.span().byte_range().start);
        let operand = self.text(&unary.expr);
        let choices = choices.into_iter().map(|(number, _)| (number, operand.clone())).collect();
        self.put(unary.span().byte_range(), String::new(), choices, Kind::Choice);
        visit::visit_expr_unary(self, unary);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        let gone = self.at("MatchArm", arm.span().byte_range().start);
        match &arm.guard {
            Some((_, guard)) if !has_let(guard) => {
                let range = guard.span().byte_range();
                let mut choices = self.at("MatchArmGuard", range.start);
                choices.extend(gone.into_iter().map(|(number, _)| (number, "false".to_owned())));
                self.put(range, String::new(), choices, Kind::Choice);
            }
            Some(_) => {}
            None => {
                let end = arm.pat.span().byte_range().end;
                self.put(end..end, String::new(), gone, Kind::Guard);
            }
        }
        visit::visit_arm(self, arm);
    }

    fn visit_expr_struct(&mut self, expression: &'ast syn::ExprStruct) {
        if let Some(rest) = &expression.rest {
            let rest = self.text(rest);
            for field in &expression.fields {
                let syn::Member::Named(name) = &field.member else { continue };
                let choices = self.at("StructField", field.span().byte_range().start);
                let choices = choices.into_iter().map(|(number, _)| (number, format!("({rest}).{name}"))).collect();
                let prefix = if field.colon_token.is_none() { format!("{name}: ") } else { String::new() };
                self.put(field.expr.span().byte_range(), prefix, choices, Kind::Choice);
            }
        }
        visit::visit_expr_struct(self, expression);
    }
}

/// Whether this is part of a chain of `let`, which cannot stand within parentheses.
fn has_let(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

struct Writer<'a> {
    source: &'a str,
    wraps: &'a [Wrap],
    text: String,
    places: Vec<Place>,
}

impl Writer<'_> {
    /// Writes a range; `next` is the first of the wraps that may lie in it. Returns the first that does not.
    fn write(&mut self, range: Range<usize>, mut next: usize) -> usize {
        let mut at = range.start;
        while let Some(wrap) =
            self.wraps.get(next).filter(|wrap| wrap.range.end <= range.end && wrap.range.start < range.end)
        {
            self.text.push_str(&self.source[at..wrap.range.start]);
            at = wrap.range.end;
            let begin = self.text.len();
            let all: Vec<usize> = wrap.choices.iter().map(|(number, _)| *number).collect();
            next += 1;
            match wrap.kind {
                Kind::Gone => {}
                Kind::Return => wrap.choices.iter().for_each(|(number, value)| {
                    self.choice(*number, &format!(" if crate::mutant_switch({number}) {{ return {value}; }}"));
                }),
                Kind::Guard => self.text.push_str(&format!(" if !crate::mutant_switch({})", all[0])),
                Kind::Choice => {
                    self.text.push_str(&format!("{}(", wrap.prefix));
                    for (number, value) in &wrap.choices {
                        self.choice(*number, &format!("if crate::mutant_switch({number}) {{ {value} }} else "));
                    }
                    self.text.push_str("{ ");
                    next = self.write(wrap.range.clone(), next);
                    self.text.push_str(" })");
                }
            }
            self.places.push(Place { start: begin, end: self.text.len(), changes: all });
        }
        self.text.push_str(&self.source[at..range.end]);
        next
    }

    fn choice(&mut self, number: usize, text: &str) {
        let start = self.text.len();
        self.text.push_str(text);
        self.places.push(Place { start, end: self.text.len(), changes: vec![number] });
    }
}
