//! The service in the OpenAPI document: what its paths have in common, since there is no end of them.

use serde_json::json;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItem, PathItemBuilder,
    PathsBuilder,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, ObjectBuilder, SchemaType, Type,
};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required, Response,
    ResponseBuilder, Schema,
};

use super::face;

const TAG: &str = "sensorthings";
const ERROR: &str = "SensorThingsError";

/// The part of the document.
pub(super) fn document() -> OpenApi {
    let mut paths = PathsBuilder::new();
    for face in &face::ALL {
        let is_1 = face.version.is_1();
        paths = paths
            .path(face.prefix, root())
            .path(face.with_slash, root())
            .path(face.described, below(is_1));
    }
    let components = ComponentsBuilder::new().schema(ERROR, error()).build();
    OpenApiBuilder::new()
        .paths(paths)
        .components(Some(components))
        .build()
}

/// An error in the form of OData.
fn error() -> Schema {
    let text = |about: &str| {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(about))
    };
    let detail = ObjectBuilder::new()
        .property("code", text("`position` or `request`"))
        .required("code")
        .property("message", text("Such as `character 12`"))
        .required("message");
    let inner = ObjectBuilder::new()
        .property("code", text("The HTTP status"))
        .required("code")
        .property("message", text("What is wrong, with the remedy"))
        .required("message")
        .property("target", text("The option or header that it is about"))
        .property("details", ArrayBuilder::new().items(detail));
    let code = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .description(Some("The HTTP status"));
    ObjectBuilder::new()
        .description(Some("What went wrong with a request to SensorThings"))
        .property("error", inner)
        .required("error")
        .property("code", code)
        .required("code")
        .property("type", text("Always `error`"))
        .required("type")
        .property("message", text("What is wrong, with the remedy"))
        .required("message")
        .into()
}

fn root() -> PathItem {
    let operation = OperationBuilder::new()
        .tag(TAG)
        .summary(Some("The sets of entities, and what the service can do"))
        .response("200", of_json("The root document"))
        .response("503", failure("Too many requests at a time"));
    PathItem::new(HttpMethod::Get, operation)
}

fn below(is_1: bool) -> PathItem {
    let mut item = PathItemBuilder::new().operation(HttpMethod::Get, get());
    if is_1 {
        item = item
            .operation(HttpMethod::Post, post())
            .operation(
                HttpMethod::Patch,
                change("Changes an entity by a merge or a JSON Patch"),
            )
            .operation(HttpMethod::Put, change("Replaces an entity"))
            .operation(HttpMethod::Delete, delete());
    }
    item.build()
}

fn operation(summary: &str) -> OperationBuilder {
    let path = ParameterBuilder::new()
        .name("path")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(
            "What the standard says: `Things`, `Things(1)/Datastreams`, `Things(1)/name/$value`; its slashes \
             are not encoded",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(Some(json!("Things")));
    OperationBuilder::new()
        .tag(TAG)
        .summary(Some(summary))
        .parameter(path)
        .response("400", failure("The request makes no sense"))
        .response("404", failure("There is no such entity, set or property"))
        .response(
            "503",
            failure("Too many requests at a time, or the answer took too long"),
        )
}

/// Options of a question: name, type, description.
const OPTIONS: [(&str, Type, &str); 12] = [
    (
        "$filter",
        Type::String,
        "Only entities for which it is true",
    ),
    (
        "$orderby",
        Type::String,
        "The order, such as `phenomenonTime desc`",
    ),
    ("$select", Type::String, "Only these properties"),
    ("$expand", Type::String, "With these related entities"),
    ("$top", Type::Integer, "At most so many"),
    ("$skip", Type::Integer, "Leave out so many"),
    (
        "$skiptoken",
        Type::String,
        "Go on here; only from links that were given out",
    ),
    ("$count", Type::Boolean, "Whether their number is told"),
    (
        "$resultFormat",
        Type::String,
        "`dataArray`, `CSV` or `GeoJSON`",
    ),
    (
        "$apply",
        Type::String,
        "Sums instead of entities (extension)",
    ),
    (
        "resample",
        Type::String,
        "Averages of observations over `1h`, `1d` … (extension)",
    ),
    (
        "$id",
        Type::String,
        "With DELETE of `$ref`: the link that goes",
    ),
];

fn option(name: &str) -> ParameterBuilder {
    let found = OPTIONS.iter().find(|(it, ..)| *it == name);
    let (kind, about) = found.map_or((Type::String, ""), |(_, kind, about)| {
        (kind.clone(), *about)
    });
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(about))
        .schema(Some(
            ObjectBuilder::new().schema_type(SchemaType::Type(kind)),
        ))
}

fn get() -> OperationBuilder {
    let mut operation = operation("Entities, one entity, or something of it");
    for (name, ..) in OPTIONS.iter().filter(|(name, ..)| *name != "$id") {
        operation = operation.parameter(option(name));
    }
    let answer = ResponseBuilder::new()
        .description("What was asked for")
        .content("application/json", anything())
        .content("application/geo+json", anything())
        .content("text/csv", text())
        .content("text/plain", text());
    operation
        .response("200", answer)
        .response("204", Response::new("The property is null"))
        .response("304", Response::new("The client has it"))
        .response("405", failure("The method is not answered here"))
}

fn writes(operation: OperationBuilder) -> OperationBuilder {
    operation
        .response("401", failure("A token is needed"))
        .response("403", failure("The token may not do this"))
        .response("405", failure("The method is not answered here"))
        .response("409", failure("It does not go together with what is there"))
        .response("412", failure("The entity has changed since (`If-Match`)"))
        .response("413", failure("The body is too large"))
        .response("415", failure("A batch of another media type"))
        .response("429", failure("Too many requests or wrong tokens"))
}

fn post() -> OperationBuilder {
    let on_duplicate = ParameterBuilder::new()
        .name("onDuplicate")
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(
            "What happens when there is one of the same natural key (extension): `keep`, `update`, `refuse`",
        ))
        .schema(Some(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some(["keep", "update", "refuse"])),
        ));
    let operation = operation(
        "Makes an entity in a set, observations (`CreateObservations`), a link (`$ref`), or many of them \
         (`$batch`)",
    );
    writes(operation)
        .parameter(on_duplicate)
        .request_body(Some(body().content("multipart/mixed", text()).build()))
        .response(
            "200",
            of_json("The entity that was there, or the answers to a batch"),
        )
        .response("201", of_json("What was made; `Location` is where"))
        .response("204", Response::new("The link was made"))
}

fn change(summary: &str) -> OperationBuilder {
    let body = body().content("application/json-patch+json", anything());
    writes(operation(summary))
        .request_body(Some(body.build()))
        .response("200", of_json("The entity as it is now"))
        .response("204", Response::new("Done, and no answer was wanted"))
}

fn delete() -> OperationBuilder {
    writes(operation(
        "Removes an entity, a link, or the entities of a set for which `$filter` is true",
    ))
    .parameter(option("$filter"))
    .parameter(option("$id"))
    .response("200", of_json("Done; of a set with the number of entities"))
    .response("204", Response::new("The link was removed"))
}

fn body() -> RequestBodyBuilder {
    RequestBodyBuilder::new().content("application/json", anything())
}

/// Whatever JSON the standard has in this place.
fn anything() -> utoipa::openapi::Content {
    let schema = ObjectBuilder::new()
        .schema_type(SchemaType::AnyValue)
        .additional_properties(Some(AdditionalProperties::FreeForm(true)));
    ContentBuilder::new()
        .schema(Some(Schema::from(schema)))
        .build()
}

fn text() -> utoipa::openapi::Content {
    let schema = ObjectBuilder::new().schema_type(Type::String);
    ContentBuilder::new()
        .schema(Some(Schema::from(schema)))
        .build()
}

fn of_json(description: &str) -> ResponseBuilder {
    ResponseBuilder::new()
        .description(description)
        .content("application/json", anything())
}

fn failure(description: &str) -> ResponseBuilder {
    let schema: RefOr<Schema> = Ref::from_schema_name(ERROR).into();
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new()
        .description(description)
        .content("application/json", content)
}
