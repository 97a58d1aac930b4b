//! The text format of Prometheus, version 0.0.4.

use std::fmt::Write as _;

pub(super) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes families of samples one after the other.
#[derive(Default)]
pub(super) struct Text {
    out: String,
    family: String,
}

impl Text {
    /// Begins a family of values that go up and down.
    pub(super) fn gauge(&mut self, name: &str, help: &str) -> &mut Self {
        self.begin(name, "gauge", help)
    }

    /// Begins a family of values that only grow.
    pub(super) fn counter(&mut self, name: &str, help: &str) -> &mut Self {
        self.begin(name, "counter", help)
    }

    /// Begins a family of distributions.
    pub(super) fn histogram(&mut self, name: &str, help: &str) -> &mut Self {
        self.begin(name, "histogram", help)
    }

    /// Adds a sample to the family.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: f64) -> &mut Self {
        self.suffixed("", labels, value)
    }

    /// Adds a sample whose name goes on after that of the family.
    pub(super) fn suffixed(
        &mut self,
        suffix: &str,
        labels: &[(&str, &str)],
        value: f64,
    ) -> &mut Self {
        let Self { out, family } = self;
        out.push_str(family);
        out.push_str(suffix);
        for (index, (name, value)) in labels.iter().enumerate() {
            out.push(if index == 0 { '{' } else { ',' });
            let _ = write!(out, "{name}=\"{}\"", escape(value).replace('"', "\\\""));
        }
        if !labels.is_empty() {
            out.push('}');
        }
        let _ = writeln!(out, " {value}");
        self
    }

    pub(super) fn finish(self) -> String {
        self.out
    }

    fn begin(&mut self, name: &str, kind: &str, help: &str) -> &mut Self {
        name.clone_into(&mut self.family);
        let _ = writeln!(self.out, "# HELP {name} {}", escape(help));
        let _ = writeln!(self.out, "# TYPE {name} {kind}");
        self
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

/// A text as a part of a metric name.
pub(super) fn name_part(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let lower = text.to_ascii_lowercase();
    lower.chars().map(allowed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_and_labels_are_escaped() {
        let mut text = Text::default();
        text.gauge("a_b", "two\nlines \\ and \"quotes\"")
            .sample(&[("x", "a\"b\\c\nd"), ("y", "")], 1.5)
            .sample(&[], 1_763_164_800.0);
        assert_eq!(
            text.finish(),
            "# HELP a_b two\\nlines \\\\ and \"quotes\"\n# TYPE a_b gauge\n\
             a_b{x=\"a\\\"b\\\\c\\nd\",y=\"\"} 1.5\na_b 1763164800\n"
        );
    }

    #[test]
    fn a_name_holds_only_what_a_name_may() {
        assert_eq!(name_part("Samples-rejected.é"), "samples_rejected__");
    }
}
