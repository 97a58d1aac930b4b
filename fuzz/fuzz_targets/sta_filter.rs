//! No `$filter` makes the reader panic, and every part of what it gives has its place in the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smartem_sta::{EntityType, Expr, ExprKind, Query, Version};

fuzz_target!(|text: &str| {
    let escaped = text.replace('%', "%25").replace('&', "%26").replace('+', "%2B");
    let raw = format!("$filter={escaped}");
    for of in EntityType::ALL {
        match Query::parse(&raw, of, Version::V1_1, false) {
            Ok(query) => {
                if let Some(filter) = &query.filter {
                    check(filter, text);
                }
                let again = Query::parse(&query.to_url(), of, Version::V1_1, false);
                assert_eq!(again.as_ref(), Ok(&query));
            }
            Err(error) => {
                let length = text.chars().count();
                assert!(error.at.is_none_or(|at| (1..=length + 1).contains(&at)));
                assert!(!error.to_string().is_empty());
            }
        }
    }
});

fn check(expr: &Expr, text: &str) {
    assert!(!text[expr.at.clone()].is_empty());
    match &expr.kind {
        ExprKind::Binary(_, left, right) => {
            check(left, text);
            check(right, text);
        }
        ExprKind::Not(inner) | ExprKind::Negate(inner) => check(inner, text),
        ExprKind::Call(_, arguments) => arguments.iter().for_each(|it| check(it, text)),
        ExprKind::In(inner, list) => {
            check(inner, text);
            list.iter().for_each(|it| check(it, text));
        }
        ExprKind::Any { predicate, .. } => {
            if let Some(predicate) = predicate {
                check(predicate, text);
            }
        }
        ExprKind::Literal(_) | ExprKind::Path(_) => {}
    }
}
