//! What is understood, and what is said about the rest.

use crate::{
    BinaryOp, EntityType, Expr, ExprKind, Function, Literal, Query, Resample, ResourcePath,
    ResultFormat, SelectItem, Target, Type, Version,
};

use super::SyntaxError;

fn filter_of(of: EntityType, text: &str) -> Result<Expr, SyntaxError> {
    let mut raw = String::from("$filter=");
    super::decode::encode_into(&mut raw, text);
    Query::parse(&raw, of, Version::V1_1, false).map(|query| query.filter.expect("a filter"))
}

fn observations(text: &str) -> Expr {
    filter_of(EntityType::Observation, text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn filters_of_real_clients_are_understood() {
    use EntityType as E;
    for (of, text) in [
        (E::Observation, "result gt 5"),
        (E::Observation, "result gt 5.5 and result le -1e3"),
        (E::Thing, "(properties/codegemeente eq'0363')"),
        (E::Thing, "properties/codegemeente eq '0363'and name eq 'x'"),
        (E::Observation, "phenomenonTime gt '2022-01-01T00:00:00Z'"),
        (
            E::Observation,
            "phenomenonTime gt 2022-01-01T00:00:00 01:00",
        ),
        (
            E::Observation,
            "phenomenonTime gt 2022-01-01T00:00:00+01:00",
        ),
        (
            E::Observation,
            "phenomenonTime ge 2022-01-01 and phenomenonTime lt 2022-02-01",
        ),
        (E::Observation, "phenomenonTime gt 20220101T000000Z"),
        (E::Observation, "phenomenonTime gt now() sub duration'P1D'"),
        (
            E::Observation,
            "during(phenomenonTime,2022-01-01T00:00:00Z/2022-01-02T00:00:00Z)",
        ),
        (
            E::Observation,
            "overlaps(phenomenonTime, 2022-01-01T00:00Z/P1D)",
        ),
        (
            E::Location,
            "location/type eq 'Point' or location/geometry/type eq 'Point'",
        ),
        (
            E::Location,
            "geo.intersects(location, geography'POLYGON((5 51,6 51,6 52,5 52,5 51))')",
        ),
        (
            E::Location,
            "geo.distance(location,geography'POINT (5 51)') lt 0.1",
        ),
        (
            E::Location,
            "st_within(location, geometry'SRID=4326;polygon ((5 51,6 51,6 52,5 51))')",
        ),
        (
            E::Location,
            "st_relate(location, geography'POINT(5 51)', 'T********')",
        ),
        (E::ObservedProperty, "Datastreams/Thing/Locations/id eq 1"),
        (E::Thing, "@iot.id eq '5'"),
        (E::Thing, "id in (1,2,'3')"),
        (
            E::Thing,
            "Datastreams/any(d:d/name eq 'no2' and d/Observations/any(o: o/result gt 5))",
        ),
        (E::Thing, "Datastreams/any()"),
        (E::Thing, "substringof('x',description)"),
        (E::Thing, "not contains (name,'x') eq true"),
        (E::Thing, "not name eq 'x'"),
        (E::Thing, "not(name eq 'it''s')"),
        (E::Datastream, "unitOfMeasurement/name eq 'degree Celsius'"),
        (
            E::Observation,
            "result/list[0] eq 5 or result/0/a-b:c eq 'x'",
        ),
        (
            E::Observation,
            "year(phenomenonTime) add 1 eq 2 mul (5 sub 3) div 2 mod 7",
        ),
        (
            E::Observation,
            "date(phenomenonTime) eq 2020-01-01 and time(resultTime) lt 12:00:00",
        ),
        (
            E::Observation,
            "resultTime sub phenomenonTime gt duration'PT1H'",
        ),
        (E::Observation, "- result lt 5"),
        (E::Observation, "validTime eq null"),
        (E::Observation, "result"),
        (E::Observation, "Datastream/Thing/properties/active"),
    ] {
        if let Err(error) = filter_of(of, text) {
            panic!("{text}: {error}");
        }
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    use EntityType as E;
    for (of, text, place, part) in [
        (E::Thing, "nme eq 'x'", 1, "did you mean `name`?"),
        (E::Thing, "name eq 5", 9, "in quotes"),
        (E::Thing, "name eq \"x\"", 9, "single quotes"),
        (E::Thing, "id eq 'x'", 7, "is no id"),
        (E::Thing, "name gt 2020-01-01T00:00:00Z", 9, "in quotes"),
        (E::Thing, "name gt null", 9, "`eq` and `ne`"),
        (E::Thing, "result eq 5", 1, "no property"),
        (
            E::Location,
            "location eq geography'POINT(5 5)'",
            13,
            "st_equals",
        ),
        (
            E::Observation,
            "date(phenomenonTime) eq 2020-01-01T00:00:00Z",
            25,
            "date(phenomenonTime)",
        ),
        (
            E::Observation,
            "phenomenonTime add 5 gt now()",
            20,
            "cannot combine",
        ),
        (E::Observation, "result in (result)", 12, "constants"),
        (E::Thing, "name = 'x'", 6, "`eq` for `=`"),
        (E::Thing, "name eqq 'x'", 6, "did you mean `eq`?"),
        (E::Thing, "name eq 'x", 9, "no closing"),
        (E::Thing, "(name eq 'x'", 1, "not closed"),
        (E::Thing, "name eq 'x')", 12, "closes nothing"),
        (E::Thing, "Datastreams eq 5", 12, "leads to entities"),
        (E::Thing, "Datastreams(1)/name eq 'x'", 1, "no keys"),
        (
            E::Thing,
            "containz(name,'x')",
            1,
            "did you mean `contains`?",
        ),
        (E::Thing, "name", 1, "condition"),
        (E::Thing, "name/x eq 5", 5, "no members"),
        (E::Thing, "é eq 5", 1, "no property"),
        (E::Thing, "'é' eq nme", 8, "did you mean"),
        (E::Observation, "phenomenonTime gt 'soon'", 19, "not a time"),
        (
            E::Observation,
            "phenomenonTime gt 2020-13-01",
            19,
            "no time",
        ),
        (
            E::Observation,
            "result gt 2020-01-01T00:00:00Z",
            11,
            "in quotes",
        ),
        (
            E::Observation,
            "phenomenonTime gt 2020-01-02/2020-01-01",
            19,
            "before it starts",
        ),
        (E::Observation, "length(5) eq 1", 8, "must be a text"),
        (E::Observation, "length() eq 1", 1, "needs a text"),
        (
            E::Location,
            "st_within(location, geography'POINT(5)')",
            21,
            "well-known text",
        ),
        (
            E::Location,
            "st_within(location, 'POINT(5 5)')",
            21,
            "must be a geometry",
        ),
        (E::Thing, "Locations/all(l: l/name eq 'x')", 11, "`all`"),
        (E::HistoricalLocation, "Thing/any()", 7, "to many"),
    ] {
        let error = filter_of(of, text).expect_err(text);
        assert_eq!(error.option.as_deref(), Some("$filter"), "{text}");
        assert_eq!(error.at, Some(place), "{text}: {error}");
        assert!(error.to_string().contains(part), "{text}: {error}");
    }
}

fn kind(text: &str) -> ExprKind {
    observations(text).kind
}

#[test]
fn operators_bind_as_in_odata() {
    let ExprKind::Binary(BinaryOp::Or, _, right) = kind("true or true and false") else {
        panic!("`or` binds weakest");
    };
    assert!(matches!(right.kind, ExprKind::Binary(BinaryOp::And, ..)));
    let ExprKind::Binary(BinaryOp::Eq, left, _) = kind("1 add 2 mul 3 sub 4 eq 5") else {
        panic!("a comparison is around sums");
    };
    let ExprKind::Binary(BinaryOp::Sub, sum, _) = left.kind else {
        panic!("sums go from left to right");
    };
    let ExprKind::Binary(BinaryOp::Add, _, product) = sum.kind else {
        panic!("sums go from left to right");
    };
    assert!(matches!(product.kind, ExprKind::Binary(BinaryOp::Mul, ..)));
}

#[test]
fn paths_within_any_begin_at_the_variable_or_at_the_entity_asked_for() {
    let filter = filter_of(
        EntityType::Thing,
        "Datastreams/any(d: d/Observations/any(o: o/result gt 5 and d/name eq name))",
    )
    .unwrap();
    let ExprKind::Any {
        outer: 0,
        relations,
        predicate: Some(inner),
    } = filter.kind
    else {
        panic!("{filter:?}");
    };
    assert_eq!(relations.len(), 1);
    let ExprKind::Any {
        outer: 0,
        predicate: Some(both),
        ..
    } = inner.kind
    else {
        panic!("{inner:?}");
    };
    let ExprKind::Binary(BinaryOp::And, result, names) = both.kind else {
        panic!("{both:?}");
    };
    let outer = |expr: &Expr| match &expr.kind {
        ExprKind::Path(path) => path.outer,
        other => panic!("{other:?}"),
    };
    let (ExprKind::Binary(_, result, _), ExprKind::Binary(_, name, thing_name)) =
        (result.kind, names.kind)
    else {
        panic!("two comparisons");
    };
    assert_eq!(
        [outer(&result), outer(&name), outer(&thing_name)],
        [0, 1, 2]
    );
}

#[test]
fn literals_take_the_type_of_what_they_are_compared_with() {
    let right = |of, text| match filter_of(of, text).unwrap().kind {
        ExprKind::Binary(_, _, right) => right.kind,
        other => panic!("{other:?}"),
    };
    assert!(matches!(
        right(
            EntityType::Observation,
            "phenomenonTime gt '2022-01-01T00:00:00Z'"
        ),
        ExprKind::Literal(Literal::Instant(_))
    ));
    assert!(matches!(
        right(
            EntityType::Observation,
            "phenomenonTime gt '2022-01-01T00:00:00Z/2022-01-02'"
        ),
        ExprKind::Literal(Literal::Interval(_))
    ));
    assert_eq!(
        right(EntityType::Thing, "id eq '5'"),
        ExprKind::Literal(Literal::Int(5))
    );
    assert_eq!(
        right(EntityType::Thing, "id eq 12345678901234567890"),
        ExprKind::Literal(Literal::Real(12_345_678_901_234_567_890.0))
    );
    let ExprKind::Call(Function::SubstringOf, arguments) =
        filter_of(EntityType::Thing, "substringof(description,'x')")
            .unwrap()
            .kind
    else {
        panic!("a call");
    };
    assert_eq!(
        arguments[0].kind,
        ExprKind::Literal(Literal::Text("x".to_owned()))
    );
    assert_eq!(arguments[1].ty, Type::Text);
}

#[test]
fn geometries_lose_their_height_and_keep_their_place() {
    let filter = filter_of(
        EntityType::Location,
        "st_equals(location, geography 'SRID=4326;POINT Z (5.25 51.5 12)')",
    )
    .unwrap();
    let ExprKind::Call(_, arguments) = filter.kind else {
        panic!("a call");
    };
    assert_eq!(
        arguments[1].kind,
        ExprKind::Literal(Literal::Geometry("POINT(5.25 51.5)".to_owned()))
    );
}

fn query(of: EntityType, raw: &str) -> Query {
    Query::parse(raw, of, Version::V1_1, false).unwrap_or_else(|error| panic!("{raw}: {error}"))
}

#[test]
fn queries_of_real_clients_are_understood() {
    use EntityType as E;
    let masterportal = query(
        E::Thing,
        "$top=1000&$expand=Datastreams($filter=name eq 'no2';$expand=Observations($top=1;$orderby=phenomenonTime desc)),Locations",
    );
    assert_eq!(masterportal.top, Some(1000));
    let names: Vec<&str> = masterportal
        .expand
        .iter()
        .map(|it| it.relation.name(Version::V1_1))
        .collect();
    assert_eq!(names, ["Datastreams", "Locations"]);
    let observations = &masterportal.expand[0].query.expand[0].query;
    assert_eq!(observations.top, Some(1));
    assert!(observations.order_by[0].is_descending);

    let helgoland = query(
        E::Location,
        "$expand=Things/Datastreams/Thing,Things/Locations",
    );
    assert_eq!(helgoland.expand.len(), 1);
    assert_eq!(helgoland.expand[0].query.expand.len(), 2);
    assert_eq!(
        helgoland.expand[0].query.to_url(),
        "$expand=Datastreams/Thing,Locations"
    );

    let qgis = query(
        E::Location,
        "$top=100&$count=false&$filter=(location/type%20eq%20'Point')&$expand=Things($orderby=id;$top=100;$expand=Datastreams($orderby=id;$top=100))",
    );
    assert!(!qgis.count);
    query(
        E::Observation,
        "%24filter=phenomenonTime+gt+'2022-01-01T00:00:00+01:00'&$resultFormat=dataarray",
    );
    query(
        E::Thing,
        "$select=id,name,properties/a/b,Datastreams,@iot.selfLink&_=1234",
    );
    query(E::Datastream, "$select=distinct:unitOfMeasurement/name");
    query(
        E::Observation,
        "$orderby=Datastream/Thing/name asc,year(phenomenonTime) desc,id",
    );
    assert_eq!(
        query(E::Observation, "$resultFormat=GeoJSON").result_format,
        ResultFormat::GeoJson
    );
    for (text, wanted) in [
        ("15m", Resample::Seconds(900)),
        ("1w", Resample::Seconds(604_800)),
        ("1M", Resample::Months(1)),
        ("1y", Resample::Months(12)),
        ("PT1H", Resample::Seconds(3600)),
        ("P1DT12H", Resample::Seconds(129_600)),
        ("P1Y6M", Resample::Months(18)),
    ] {
        let query = query(E::Observation, &format!("resample={text}"));
        assert_eq!(query.resample, Some(wanted), "{text}");
    }
    let apply = query(
        E::Observation,
        "$apply=filter(result gt 0)/groupby((Datastream/name,resultQuality/x),aggregate(result with average as mean,$count as n))",
    )
    .apply
    .unwrap();
    assert!(apply.filter.is_some());
    assert_eq!((apply.group_by.len(), apply.aggregates.len()), (2, 2));
}

#[test]
fn faults_of_queries_are_told() {
    use EntityType as E;
    for (of, raw, wanted) in [
        (
            E::Thing,
            "filter=name eq 'x'",
            "in filter: write it with a dollar sign: `$filter`",
        ),
        (E::Thing, "$Filter=name eq 'x'", "did you mean `$filter`?"),
        (E::Thing, "$top=1&$top=2", "given twice"),
        (
            E::Thing,
            "$top=-1",
            "in $top, character 1: expected a whole number",
        ),
        (
            E::Thing,
            "$count=yes",
            "in $count, character 1: expected true or false",
        ),
        (
            E::Thing,
            "$select=nam",
            "in $select, character 1: `nam` is no property or relation of Thing; did you mean `name`?",
        ),
        (
            E::Thing,
            "$expand=Datastream",
            "did you mean `Datastreams`?",
        ),
        (
            E::Thing,
            "$expand=Datastreams($top=1",
            "character 12: this `(` is not closed",
        ),
        (
            E::Thing,
            "$expand=Datastreams($top=1),Datastreams($top=2)",
            "given twice",
        ),
        (
            E::Thing,
            "$expand=Datastreams(top=1)",
            "expected an option here",
        ),
        (
            E::Thing,
            "$expand=Datastreams($filter=nam eq 'x')",
            "in $expand, character 21: $filter: `nam`",
        ),
        (
            E::Thing,
            "$expand=Datastreams/Thing/Datastreams/Thing/Datastreams/Thing/Datastreams",
            "depth of 6",
        ),
        (E::Thing, "$orderby=name down", "in $orderby, character 6"),
        (E::Thing, "$orderby=Datastreams/name", "many values"),
        (E::Thing, "$resultFormat=dataArray", "sets of Observations"),
        (E::Thing, "resample=1h", "sets of Observations"),
        (E::Observation, "resample=1x", "no span of time"),
        (
            E::Observation,
            "$apply=filter(result gt 1)&$filter=result gt 2",
            "in $apply",
        ),
        (
            E::Observation,
            "$apply=aggregate(result with mean as x)",
            "no method `mean`",
        ),
    ] {
        let error = Query::parse(raw, of, Version::V1_1, false).expect_err(raw);
        assert!(error.to_string().contains(wanted), "{raw}: {error}");
    }
    let error = Query::parse("$filter=id eq 1", E::Thing, Version::V1_1, true).unwrap_err();
    assert!(error.to_string().contains("for sets"), "{error}");
}

#[test]
fn paths_name_sets_entities_and_parts_of_them() {
    let parse = |text| {
        ResourcePath::parse(text, Version::V1_1).unwrap_or_else(|error| panic!("{text}: {error}"))
    };
    let path = parse("Things(1)/Datastreams('2')/Observations/$ref");
    assert_eq!(path.root_id, Some(1));
    assert_eq!(path.steps[0].id, Some(2));
    assert_eq!(path.target, Target::References);
    assert_eq!(path.entity_type(), EntityType::Observation);
    assert_eq!(
        parse("Datastreams(%20%201%20)/unitOfMeasurement/name/$value").target,
        Target::RawValue(crate::Property::UnitOfMeasurement, vec!["name".to_owned()])
    );
    assert_eq!(parse("/Things/$count").target, Target::Count);
    let members = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
    assert_eq!(
        parse("Things(1)/properties/a%5B0%5D[12]/b").target,
        Target::Property(crate::Property::Properties, members(&["a", "0", "12", "b"]))
    );
    assert_eq!(
        parse("Observations(1)/result[0]/$value").target,
        Target::RawValue(crate::Property::Result, members(&["0"]))
    );
    for (text, wanted) in [
        (
            "Thing(1)",
            "character 1: there is no set `Thing`; did you mean `Things`?",
        ),
        ("Things(x)", "character 8: `x` is no id"),
        ("Things(1", "character 7: this `(` is not closed"),
        (
            "Things/1",
            "character 8: `1` cannot follow a set; name one of its entities, as in `Things(1)`",
        ),
        (
            "Things(1)/Observations",
            "character 11: `Observations` is no property or relation of Thing",
        ),
        ("Datastreams(1)/Thing(2)", "takes no id"),
        (
            "Things(1)/name/x",
            "character 16: `name` is no JSON and has no members",
        ),
        ("Things(1)/name[0]", "no members"),
        ("Things(1)/$count", "follows a set"),
        ("Things/$count/x", "nothing follows"),
        ("Things(1)//name", "two slashes"),
        ("", "expected the name of a set"),
    ] {
        let error = ResourcePath::parse(text, Version::V1_1).expect_err(text);
        assert!(error.to_string().contains(wanted), "{text}: {error}");
    }
    assert!(ResourcePath::parse("MultiDatastreams", Version::V2_0).is_err());
    let path = ResourcePath::parse("Datastreams(1)/ObservedProperties(3)", Version::V2_0).unwrap();
    assert!(path.steps[0].relation.is_many);
    assert!(ResourcePath::parse("Features", Version::V2_0).is_ok());
}

#[test]
fn selected_relations_and_members_are_told_apart() {
    let select = query(EntityType::Thing, "$select=name,properties/a/b,Locations").select;
    assert!(matches!(&select[1], SelectItem::Property(_, members) if members == &["a", "b"]));
    assert!(matches!(select[2], SelectItem::Relation(_)));
    assert!(query(EntityType::Thing, "$select=*,name").select.is_empty());
}

#[test]
fn what_is_deep_is_refused_before_the_stack_ends() {
    // Half of what threads have, and unoptimised.
    let thread = std::thread::Builder::new().stack_size(1 << 20);
    let run = || {
        for (open, inner, close, levels) in [
            ("(", "true", ")", 1),
            ("not ", "true", "", 1),
            ("not (", "true", ")", 2),
            ("- ", "result", "", 1),
            ("round(", "1", ")", 1),
            ("1 add 1 mul (", "1", ")", 3),
            ("true or true and true eq (", "true", ")", 4),
            (
                "Datastream/Thing/Datastreams/any(d: d/Observations/any(o:",
                "true",
                "))",
                2,
            ),
        ] {
            let read = |depth: usize| {
                let text = format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
                super::decode::options(&format!("$filter={text}")).unwrap();
                filter_of(EntityType::Observation, &text).map(|_| ())
            };
            let deepest = 99 / levels;
            if inner == "true" {
                assert_eq!(read(deepest.min(40)), Ok(()), "{open}");
            }
            for depth in [deepest + 2, 1_000, 5_000] {
                let error = read(depth).expect_err(open).to_string();
                let is_limit = ["deep", "parts", "longer"]
                    .iter()
                    .any(|it| error.contains(it));
                assert!(is_limit, "{open} {depth}: {error}");
            }
        }
    };
    thread.spawn(run).unwrap().join().unwrap();
}

#[test]
fn many_conditions_make_a_flat_tree() {
    fn height(expr: &Expr) -> usize {
        match &expr.kind {
            ExprKind::Binary(_, left, right) => 1 + height(left).max(height(right)),
            _ => 1,
        }
    }
    let many = vec!["id eq 1"; 240].join(" or ");
    let filter = filter_of(EntityType::Thing, &many).unwrap();
    assert_eq!(height(&filter), 1 + 8 + 1);
    let sum = vec!["1"; 102].join(" add ");
    let error = filter_of(EntityType::Thing, &format!("id eq {sum}")).unwrap_err();
    assert!(error.to_string().contains("100 levels deep"), "{error}");
}
