//! What was asked and answered.

use smartem_http::{BUCKETS, HttpMetrics};

use super::text::Text;

pub(super) fn write(text: &mut Text, requests: &HttpMetrics) {
    text.counter("smartem_http_requests_total", "Requests answered.");
    for row in requests.requests() {
        let status = row.status.to_string();
        let labels = [
            ("method", row.method),
            ("route", &row.route),
            ("status", &status),
        ];
        text.sample(&labels, row.count as f64);
    }
    text.histogram(
        "smartem_http_request_duration_seconds",
        "How long it took until an answer began.",
    );
    for row in requests.times() {
        let labels = [("method", row.method), ("route", &*row.route)];
        for (bound, count) in BUCKETS.iter().zip(row.buckets) {
            let bound = bound.to_string();
            let labels = [labels[0], labels[1], ("le", &bound)];
            text.suffixed("_bucket", &labels, count as f64);
        }
        text.suffixed(
            "_bucket",
            &[labels[0], labels[1], ("le", "+Inf")],
            row.count as f64,
        )
        .suffixed("_sum", &labels, row.seconds)
        .suffixed("_count", &labels, row.count as f64);
    }
}
