//! Expressions as InfluxDB writes them in errors and as symbols.

use std::fmt::{self, Write as _};

use super::ast::{DataType, Expr};

/// Needs no quotes where it is a name.
fn is_bare(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|it| it.is_ascii_alphabetic() || it == '_')
        && chars.all(|it| it.is_ascii_alphanumeric() || it == '_')
        && super::lex::keyword(name).is_none()
}

/// A name, in quotes where it needs them.
pub(crate) struct Name<'a>(pub(crate) &'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_bare(self.0) {
            return f.write_str(self.0);
        }
        write_quoted(f, self.0, '"')
    }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str, quote: char) -> fmt::Result {
    f.write_char(quote)?;
    for character in text.chars() {
        match character {
            '\n' => f.write_str("\\n")?,
            '\\' => f.write_str("\\\\")?,
            it if it == quote => write!(f, "\\{it}")?,
            it => f.write_char(it)?,
        }
    }
    f.write_char(quote)
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Var { name, data_type } => {
                write!(f, "{}", Name(name))?;
                match data_type {
                    DataType::Unknown => Ok(()),
                    it => write!(f, "::{it}"),
                }
            }
            Self::Call { name, args } => {
                write!(f, "{name}(")?;
                for (index, arg) in args.iter().enumerate() {
                    write!(f, "{}{arg}", if index > 0 { ", " } else { "" })?;
                }
                f.write_char(')')
            }
            Self::Distinct(name) => write!(f, "DISTINCT {name}"),
            Self::Binary(operator, left, right) => {
                write!(f, "{left} {} {right}", operator.sign())
            }
            Self::Paren(inner) => write!(f, "({inner})"),
            Self::Number(value) => write!(f, "{value:.3}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Unsigned(value) => write!(f, "{value}"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::String(text) => write_quoted(f, text, '\''),
            Self::Duration(value) => f.write_str(&super::time::format_duration(*value)),
            Self::Time(value) => write!(f, "'{}'", super::time::Rfc3339(*value, None)),
            Self::Regex(regex) => write!(f, "/{}/", regex.as_str().replace('/', "\\/")),
            Self::Wildcard(DataType::AnyField) => f.write_str("*::field"),
            Self::Wildcard(DataType::Tag) => f.write_str("*::tag"),
            Self::Wildcard(_) => f.write_char('*'),
        }
    }
}
