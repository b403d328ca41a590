//! Finds the functions of a source file, how long they are and which are tests, and calls that are
//! forbidden outside tests. It reads syntax only: macros are not expanded.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Block, Meta, Signature};

/// One function with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name without the path.
    pub name: String,
    /// Line of the `fn` keyword, starting at 1.
    pub line: usize,
    /// Lines from the `fn` keyword to the closing brace.
    pub line_count: usize,
    /// Whether it is compiled for tests only.
    pub kind: FunctionKind,
}

/// Who runs a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionKind {
    /// Part of the product.
    Product,
    /// Inside `#[cfg(test)]`, called by tests.
    TestHelper,
    /// Has `#[test]`, `#[tokio::test]` or another attribute that ends in `test`.
    Test,
}

/// What was found in one file.
#[derive(Debug, Clone, Default)]
pub struct Outline {
    /// Every function with a body, nested ones too, in the order of the file.
    pub functions: Vec<Function>,
    /// Lines of `.unwrap()` calls outside tests.
    pub unwrap_lines: Vec<usize>,
    /// Every word given to a macro that stands where items stand: it may write tests of that name.
    pub macro_words: BTreeSet<String>,
}

impl Outline {
    /// Reads the outline of a source text.
    ///
    /// # Errors
    /// When the text is not valid Rust.
    pub fn of(text: &str) -> syn::Result<Self> {
        let file = syn::parse_file(text)?;
        let mut reader = Reader::default();
        if !file.attrs.iter().any(is_test_only) {
            reader.visit_file(&file);
        }
        Ok(reader.outline)
    }

    /// Whether a test of this name exists, as a function or as a word given to a macro.
    #[must_use]
    pub fn has_test(&self, name: &str) -> bool {
        let is_written = |found: &Function| found.name == name && found.kind == FunctionKind::Test;
        self.functions.iter().any(is_written) || self.macro_words.contains(name)
    }
}

#[derive(Default)]
struct Reader {
    outline: Outline,
    /// How many of the enclosing items are for tests only.
    test_depth: usize,
}

impl Reader {
    fn within(&mut self, attributes: &[Attribute], read: impl FnOnce(&mut Self)) {
        let added = usize::from(
            attributes
                .iter()
                .any(|a| is_test_only(a) || is_test_marker(a)),
        );
        self.test_depth += added;
        read(self);
        self.test_depth -= added;
    }

    fn note_function(&mut self, attributes: &[Attribute], signature: &Signature, body: &Block) {
        let kind = if attributes.iter().any(is_test_marker) {
            FunctionKind::Test
        } else if self.test_depth > 0 {
            FunctionKind::TestHelper
        } else {
            FunctionKind::Product
        };
        let line = signature.fn_token.span.start().line;
        let last_line = body.brace_token.span.close().end().line;
        let name = signature.ident.to_string();
        let function = Function {
            name,
            line,
            line_count: last_line - line + 1,
            kind,
        };
        self.outline.functions.push(function);
    }

    fn note_unwrap(&mut self, line: usize) {
        if self.test_depth == 0 {
            self.outline.unwrap_lines.push(line);
        }
    }

    /// Tokens of a macro call are not parsed, so calls in them are found by their shape.
    fn read_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for window in tokens.windows(3) {
            if let [
                TokenTree::Punct(dot),
                TokenTree::Ident(name),
                TokenTree::Group(arguments),
            ] = window
                && dot.as_char() == '.'
                && name == "unwrap"
                && arguments.delimiter() == Delimiter::Parenthesis
                && arguments.stream().is_empty()
            {
                self.note_unwrap(name.span().start().line);
            }
        }
        for token in tokens {
            if let TokenTree::Group(group) = token {
                self.read_tokens(group.stream());
            }
        }
    }

    fn note_words(&mut self, tokens: TokenStream) {
        for token in tokens {
            match token {
                TokenTree::Ident(word) => {
                    self.outline.macro_words.insert(word.to_string());
                }
                TokenTree::Group(group) => self.note_words(group.stream()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.within(&item.attrs, |reader| visit::visit_item_mod(reader, item));
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.within(&item.attrs, |reader| visit::visit_item_impl(reader, item));
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.within(&item.attrs, |reader| {
            reader.note_function(&item.attrs, &item.sig, &item.block);
            visit::visit_item_fn(reader, item);
        });
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.within(&item.attrs, |reader| {
            reader.note_function(&item.attrs, &item.sig, &item.block);
            visit::visit_impl_item_fn(reader, item);
        });
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.within(&item.attrs, |reader| {
            if let Some(body) = &item.default {
                reader.note_function(&item.attrs, &item.sig, body);
            }
            visit::visit_trait_item_fn(reader, item);
        });
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if call.method == "unwrap" && call.args.is_empty() {
            self.note_unwrap(call.method.span().start().line);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.read_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        self.note_words(item.mac.tokens.clone());
        self.within(&item.attrs, |reader| visit::visit_item_macro(reader, item));
    }
}

/// `#[test]`, `#[tokio::test]`, `#[sqlx::test(…)]`.
fn is_test_marker(attribute: &Attribute) -> bool {
    attribute
        .path()
        .segments
        .last()
        .is_some_and(|segment| segment.ident == "test")
}

/// `#[cfg(test)]` and `#[cfg(all(test, …))]`, but not `#[cfg(not(test))]`.
fn is_test_only(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else {
        return false;
    };
    if !attribute.path().is_ident("cfg") {
        return false;
    }
    let words: Vec<String> = list
        .tokens
        .to_string()
        .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .map(str::to_owned)
        .collect();
    words.iter().any(|word| word == "test") && !words.iter().any(|word| word == "not")
}

#[cfg(test)]
mod tests {
    use super::{FunctionKind, Outline};

    #[test]
    fn a_function_is_measured_from_its_keyword_to_its_brace() {
        let outline = Outline::of("/// Doc.\n#[must_use]\nfn five() -> u8 {\n    5\n}\n").unwrap();
        let found = &outline.functions[0];
        assert_eq!((found.line, found.line_count), (3, 3));
        assert_eq!(found.kind, FunctionKind::Product);
    }

    #[test]
    fn an_unwrap_is_reported_outside_tests_only() {
        let text = "fn a() { b().unwrap(); }\n\
                    #[cfg(test)]\nmod tests {\n#[test]\nfn t() { b().unwrap(); }\n}\n\
                    fn c() { print!(\"{}\", b().unwrap()); }\n";
        assert_eq!(Outline::of(text).unwrap().unwrap_lines, [1, 7]);
    }

    #[test]
    fn tests_are_found_by_attribute_or_inside_a_macro() {
        let text = "#[tokio::test]\nasync fn told() { print!(\"{}\", helper()) }\nfn helper() {}\n\
                    proptest! { #[test] fn generated(x in 0..3) {} }\n";
        let outline = Outline::of(text).unwrap();
        assert!(outline.has_test("told"));
        assert!(outline.has_test("generated"));
        assert!(!outline.has_test("helper"));
    }
}
