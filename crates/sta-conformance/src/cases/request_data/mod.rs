//! Query options but `$filter`: what is selected, expanded, ordered and counted, and how a list goes on.

mod list;
mod shape;

use serde_json::Value;

use crate::bench::Bench;
use crate::cases::{Row, check, each};
use crate::client::Answer;
use crate::outcome::Check;

const SELECT: &str = "9.3.2.2";
const EXPAND: &str = "9.3.2.1";
const ORDER: &str = "9.3.3.1";
const TOP: &str = "9.3.3.2";
const SKIP: &str = "9.3.3.3";
const COUNT: &str = "9.3.3.4";
const PAGES: &str = "9.3.3.6";

/// What a wrong value of an option is answered with.
const WRONG: &[u16] = &[400, 422];

pub(crate) const CASES: &[Row] = &[
    Row::read_each(
        "select-one",
        SELECT,
        "`$select` leaves the property that is named and no other.",
        each!(shape::select_one),
    ),
    Row::write(
        "select-several",
        SELECT,
        "`$select` takes several properties, separated by commas.",
        check!(shape::select_several),
    ),
    Row::write(
        "select-id",
        SELECT,
        "`$select=id` leaves the identifier.",
        check!(shape::select_id),
    ),
    Row::write(
        "select-of-an-entity",
        SELECT,
        "`$select` works on a single entity and behind navigation.",
        check!(shape::select_entity),
    ),
    Row::write(
        "select-navigation",
        SELECT,
        "A relation that is selected is shown as its link.",
        check!(shape::select_navigation),
    ),
    Row::read(
        "select-unknown",
        SELECT,
        "Selecting a property that does not exist is answered with 400.",
        check!(shape::select_unknown),
    ),
    Row::read_each(
        "expand",
        EXPAND,
        "`$expand` puts related entities into their entity, for each relation.",
        each!(shape::expand_each),
    ),
    Row::write(
        "expand-several",
        EXPAND,
        "`$expand` takes several relations, separated by commas.",
        check!(shape::expand_several),
    ),
    Row::write(
        "expand-path",
        EXPAND,
        "`$expand=A/B` expands B within A.",
        check!(shape::expand_path),
    ),
    Row::write(
        "expand-within-expand",
        EXPAND,
        "`$expand=A($expand=B)` expands B within A.",
        check!(shape::expand_within),
    ),
    Row::write(
        "expand-three-levels",
        EXPAND,
        "Expansions are nested over three levels.",
        check!(shape::expand_three),
    ),
    Row::write(
        "expand-beside-select",
        EXPAND,
        "What is expanded is shown beside what is selected.",
        check!(shape::expand_beside_select),
    ),
    Row::write(
        "expand-with-select",
        EXPAND,
        "`$select` within `$expand` applies to what is expanded.",
        check!(shape::expand_select),
    ),
    Row::write(
        "expand-with-filter",
        EXPAND,
        "`$filter` within `$expand` applies to what is expanded.",
        check!(shape::expand_filter),
    ),
    Row::write(
        "expand-with-order-and-top",
        EXPAND,
        "`$orderby` and `$top` within `$expand` apply to what is expanded.",
        check!(shape::expand_order),
    ),
    Row::write(
        "expand-with-skip",
        EXPAND,
        "`$skip` within `$expand` applies to what is expanded.",
        check!(shape::expand_skip),
    ),
    Row::write(
        "expand-with-count",
        EXPAND,
        "`$count` within `$expand` counts what could be expanded.",
        check!(shape::expand_count),
    ),
    Row::write(
        "next-link-within-expand",
        PAGES,
        "An expanded list that is cut has a next link that leads to the rest.",
        check!(shape::expand_next),
    ),
    Row::write(
        "expand-of-an-entity",
        EXPAND,
        "`$expand` works on a single entity and behind navigation.",
        check!(shape::expand_entity),
    ),
    Row::write(
        "expand-of-nothing",
        EXPAND,
        "A relation to many that has none is expanded to an empty list.",
        check!(shape::expand_nothing),
    ),
    Row::read(
        "expand-unknown",
        EXPAND,
        "Expanding a relation that does not exist is answered with 400.",
        check!(shape::expand_unknown),
    ),
    Row::write(
        "orderby-ascending",
        ORDER,
        "`$orderby` sorts upwards when nothing else is said.",
        check!(list::order_ascending),
    ),
    Row::write(
        "orderby-descending",
        ORDER,
        "`desc` sorts downwards.",
        check!(list::order_descending),
    ),
    Row::write(
        "orderby-numbers",
        ORDER,
        "Results that are numbers are sorted as numbers.",
        check!(list::order_numbers),
    ),
    Row::write(
        "orderby-several",
        ORDER,
        "A second criterion sorts what the first leaves equal.",
        check!(list::order_several),
    ),
    Row::write(
        "orderby-path",
        ORDER,
        "`$orderby` may follow navigation to one.",
        check!(list::order_path),
    ),
    Row::write(
        "orderby-id",
        ORDER,
        "`$orderby=id` sorts by the identifier, and upside down with `desc`.",
        check!(list::order_id),
    ),
    Row::read(
        "orderby-unknown",
        ORDER,
        "Sorting by a property that does not exist is answered with 400.",
        check!(list::order_unknown),
    ),
    Row::read(
        "orderby-broken",
        ORDER,
        "A direction that does not exist is answered with 400.",
        check!(list::order_broken),
    ),
    Row::write("top", TOP, "`$top` limits the list.", check!(list::top)),
    Row::write(
        "top-beyond",
        TOP,
        "`$top` above the number of entities gives all of them and no next link.",
        check!(list::top_beyond),
    ),
    Row::write(
        "top-exact",
        TOP,
        "`$top` of just the number of entities gives no next link.",
        check!(list::top_exact),
    ),
    Row::read(
        "top-zero",
        TOP,
        "`$top=0` gives an empty list.",
        check!(list::top_zero),
    ),
    Row::read(
        "top-broken",
        TOP,
        "`$top` below zero or without a number is answered with 400.",
        check!(list::top_broken),
    ),
    Row::write(
        "skip",
        SKIP,
        "`$skip` leaves out the first of the list.",
        check!(list::skip_some),
    ),
    Row::write(
        "skip-beyond",
        SKIP,
        "`$skip` above the number of entities gives an empty list.",
        check!(list::skip_beyond),
    ),
    Row::read(
        "skip-broken",
        SKIP,
        "`$skip` below zero or without a number is answered with 400.",
        check!(list::skip_broken),
    ),
    Row::read_each(
        "count",
        COUNT,
        "`$count=true` adds `@iot.count`, and `$count=false` does not.",
        each!(list::count_each),
    ),
    Row::write(
        "count-before-paging",
        COUNT,
        "The count is that of all entities, whatever `$top` and `$skip` say.",
        check!(list::count_paging),
    ),
    Row::write(
        "count-behind-filter",
        COUNT,
        "The count is that of the entities that the filter leaves.",
        check!(list::count_filter),
    ),
    Row::read(
        "count-broken",
        COUNT,
        "`$count` with neither true nor false is answered with 400.",
        check!(list::count_broken),
    ),
    Row::write(
        "next-link",
        PAGES,
        "Next links lead through all entities, each once, and end.",
        check!(list::next_link),
    ),
    Row::write(
        "next-link-keeps-options",
        PAGES,
        "A next link keeps filter, order, selection and expansion.",
        check!(list::next_link_options),
    ),
    Row::write(
        "next-link-behind-skip",
        PAGES,
        "Paging goes on where `$skip` began.",
        check!(list::next_link_skip),
    ),
    Row::write(
        "next-link-downwards",
        PAGES,
        "Next links lead through a list that is sorted downwards.",
        check!(list::next_link_downwards),
    ),
    Row::write(
        "next-link-with-ties",
        PAGES,
        "Next links lead through entities whose sort values are equal, each once.",
        check!(list::next_link_ties),
    ),
    Row::write(
        "next-link-with-nulls",
        PAGES,
        "Next links lead through entities without a sort value as well, each once.",
        check!(list::next_link_nulls),
    ),
    Row::write(
        "next-link-with-results-of-several-kinds",
        PAGES,
        "Next links lead through results of several types, each once, numbers by value.",
        check!(list::next_link_mixed),
    ),
    Row::write(
        "next-link-by-a-path",
        PAGES,
        "Next links lead through a list that is sorted by a property of a related entity.",
        check!(list::next_link_path),
    ),
    Row::write(
        "next-link-by-what-is-not-selected",
        PAGES,
        "Next links lead through a list that is sorted by a property that is not selected.",
        check!(list::next_link_unselected),
    ),
    Row::write(
        "next-link-with-signs",
        PAGES,
        "Next links keep a filter with quotes, plus, ampersand, per cent and other letters.",
        check!(list::next_link_signs),
    ),
    Row::write(
        "order-of-evaluation",
        "9.3.1",
        "Options are evaluated in the order filter, count, order, skip, top, whatever their order in the address.",
        check!(list::evaluation),
    ),
    Row::read(
        "unknown-option",
        "9.3",
        "A system query option that does not exist is refused.",
        check!(list::unknown_option),
    ),
    Row::write(
        "encoded-option",
        "9.1",
        "Names of options may be percent-encoded, and blanks may be written as plus.",
        check!(list::encoded_option),
    ),
];

/// The path of the Observations of *numbers*.
fn numbers(bench: &Bench<'_>) -> Check<String> {
    bench.own.number("7")?;
    Ok(format!(
        "{}/Observations",
        bench.own.datastream("numbers")?.path
    ))
}

/// The results of a list of Observations, as they are labelled.
fn results(list: &[Value]) -> Vec<String> {
    let result = |entity: &Value| {
        let result = entity.get("result").cloned().unwrap_or_default();
        // A whole number may come with a fraction of nothing.
        let text = result.to_string();
        text.strip_suffix(".0").unwrap_or(&text).to_owned()
    };
    list.iter().map(result).collect()
}

/// Ends the case unless an answer lists Observations with these results, in this order.
fn lists(answer: &Answer, expected: &[&str]) -> Check {
    let got = results(&answer.list()?);
    answer.ensure(got == expected, || {
        format!("the results {expected:?} were expected, not {got:?}")
    })
}

/// The next link of a page.
fn next_of(page: &Answer) -> Check<Option<String>> {
    match page.value()?.get("@iot.nextLink") {
        None => Ok(None),
        Some(Value::String(link)) => Ok(Some(link.clone())),
        Some(other) => Err(page.fault(format!("`@iot.nextLink` is no address: {other}"))),
    }
}
