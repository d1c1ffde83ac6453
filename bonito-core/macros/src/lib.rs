//! The `js!` macro of `bonito-core`, which wraps it so that it finds the crate under any name.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Expr, LitStr, Path, Token};

/// See `bonito_core::js!`.
#[proc_macro]
#[doc(hidden)]
pub fn script(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let expanded = syn::parse::<Input>(input).and_then(|input| expand(&input));
    expanded.unwrap_or_else(|error| error.to_compile_error()).into()
}

struct Input {
    crate_path: Path,
    source: LitStr,
}

impl Parse for Input {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let crate_path = Path::parse_mod_style(input)?;
        input.parse::<Token![,]>()?;
        let source = input.parse()?;
        input.parse::<Option<Token![,]>>()?;
        if !input.is_empty() {
            return Err(input.error("js! takes one string literal; write values as $(expression) inside it"));
        }
        Ok(Self { crate_path, source })
    }
}

fn expand(input: &Input) -> syn::Result<TokenStream> {
    let Input { crate_path, source } = input;
    let (javascript, expressions) = split(&source.value(), source.span())?;
    let values = expressions.iter().enumerate().map(|(index, expression)| {
        let key = format!("v{index}");
        quote! { .with(#key, &(#expression)) }
    });
    Ok(quote! {
        #crate_path::Script::new(#javascript)
            #(#values)*
            .at(if ::core::cfg!(debug_assertions) { ::core::concat!(::core::file!(), ":", ::core::line!()) } else { "" })
    })
}

/// Takes the `$(…)` out of the source. `$$(` stands for `$(` itself.
fn split(source: &str, span: Span) -> syn::Result<(String, Vec<Expr>)> {
    let mut javascript = String::with_capacity(source.len());
    let mut expressions = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find("$(") {
        if rest[..at].ends_with('$') {
            javascript.push_str(&rest[..at - 1]);
            javascript.push_str("$(");
            rest = &rest[at + 2..];
            continue;
        }
        javascript.push_str(&rest[..at]);
        let inside = &rest[at + 2..];
        let end = closing(inside).ok_or_else(|| {
            Error::new(
                span,
                "this $( is never closed, or what follows it is not Rust; JavaScript's own $( is written $$(",
            )
        })?;
        let text = &inside[..end];
        let expression = syn::parse_str::<Expr>(text).map_err(|error| {
            Error::new(
                span,
                format!("`$({text})` is not a Rust expression: {error}; JavaScript's own $( is written $$("),
            )
        })?;
        javascript.push_str(&format!("__lookup_interpolated(\"v{}\")", expressions.len()));
        expressions.push(respan(&expression, span)?);
        rest = &inside[end + 1..];
    }
    javascript.push_str(rest);
    Ok((javascript, expressions))
}

/// The place of the parenthesis that closes an expression: tokens decide, so one inside a text or a char does not count.
fn closing(text: &str) -> Option<usize> {
    text.match_indices(')')
        .map(|(at, _)| at)
        .find(|&at| text[..at].parse::<TokenStream>().is_ok_and(|t| !t.is_empty()))
}

/// Errors in the expression point to the literal, and its names are those of the caller.
fn respan(expression: &Expr, span: Span) -> syn::Result<Expr> {
    fn paint(stream: TokenStream, span: Span) -> TokenStream {
        stream
            .into_iter()
            .map(|mut token| {
                if let proc_macro2::TokenTree::Group(group) = &token {
                    token = proc_macro2::Group::new(group.delimiter(), paint(group.stream(), span)).into();
                }
                token.set_span(span);
                token
            })
            .collect()
    }
    syn::parse2(paint(quote!(#expression), span))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn javascript(source: &str) -> (String, usize) {
        let (javascript, expressions) = split(source, Span::call_site()).unwrap();
        (javascript, expressions.len())
    }

    #[test]
    fn values_become_lookups() {
        assert_eq!(
            javascript("f($(a.b(1)), $(\")\"), `${$(c)}`)"),
            (
                "f(__lookup_interpolated(\"v0\"), __lookup_interpolated(\"v1\"), \
                 `${__lookup_interpolated(\"v2\")}`)"
                    .into(),
                3
            )
        );
    }

    #[test]
    fn a_doubled_dollar_is_javascripts_own() {
        assert_eq!(javascript("$$('#a').text($(x)); $ (y); `$${z}`").1, 1);
        assert!(javascript("$$('#a')").0 == "$('#a')");
    }

    #[test]
    fn what_is_not_rust_is_refused_with_advice() {
        let refusal = |source| split(source, Span::call_site()).map(drop).unwrap_err().to_string();
        for source in ["$('#a b')", "$('#a')", "$(a b)", "$()"] {
            assert!(refusal(source).contains("$$("), "{source}: {}", refusal(source));
        }
        assert!(refusal("$(a").contains("never closed"));
    }
}
