/// Why an InfluxDB did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InfluxError {
    /// No whole answer arrived; trying again may help.
    #[error("InfluxDB at {server} is not reached: {problem}; check `--url`, and whether it runs")]
    Unreachable {
        /// The address, without password.
        server: String,
        /// What happened.
        problem: String,
    },
    /// It does not know who asks, or does not let them.
    #[error("InfluxDB at {server} refuses: {problem}; check user and password")]
    Denied {
        /// The address.
        server: String,
        /// What it says.
        problem: String,
    },
    /// It refused a statement.
    #[error("InfluxDB at {server} refuses `{statement}`: {problem}")]
    Statement {
        /// The address.
        server: String,
        /// What was asked.
        statement: String,
        /// What it says.
        problem: String,
    },
    /// The answer is not what an InfluxDB gives.
    #[error("what {server} answers is not understood: {problem}; is it an InfluxDB 1.x?")]
    NotUnderstood {
        /// The address.
        server: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl InfluxError {
    /// Whether another attempt may help.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}
