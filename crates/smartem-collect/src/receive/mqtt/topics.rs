/// Which topics are ours, all below one prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    prefix: String,
}

/// What a message of a topic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// `<prefix>/<station>/<indicator>`: a plain number.
    Number {
        /// The id of the station.
        station: &'a str,
        /// The name of the value.
        indicator: &'a str,
    },
    /// `<prefix>/influx/<database>`: lines of line protocol.
    Lines {
        /// The database.
        database: &'a str,
    },
    /// `<prefix>/push`: the object of `POST /api/v1/push`.
    Push,
}

impl Topics {
    /// The topics below a prefix of one or more levels.
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.trim_matches('/').to_owned(),
        }
    }

    /// The filter that takes them all.
    pub fn filter(&self) -> String {
        format!("{}/#", self.prefix)
    }

    /// What a message of a topic is; `None`: not ours.
    pub fn target<'a>(&self, topic: &'a str) -> Option<Target<'a>> {
        let rest = topic
            .strip_prefix(self.prefix.as_str())?
            .strip_prefix('/')?;
        if rest == "push" {
            return Some(Target::Push);
        }
        let (first, second) = rest.split_once('/')?;
        if first.is_empty() || second.is_empty() || second.contains('/') {
            return None;
        }
        Some(match first {
            "influx" => Target::Lines { database: second },
            station => Target::Number {
                station,
                indicator: second,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topic_says_what_a_message_is() {
        let topics = Topics::new("net/smartem/");
        assert_eq!(topics.filter(), "net/smartem/#");
        let number = Target::Number {
            station: "12",
            indicator: "no2",
        };
        assert_eq!(topics.target("net/smartem/12/no2"), Some(number));
        let lines = Target::Lines { database: "air" };
        assert_eq!(topics.target("net/smartem/influx/air"), Some(lines));
        assert_eq!(topics.target("net/smartem/push"), Some(Target::Push));
        for other in [
            "net/smartem",
            "net/smartem/12",
            "net/smartem/12/no2/raw",
            "net/smartem//no2",
            "net/smartem/12/",
            "net/smartemmer/12/no2",
            "net/other/12/no2",
        ] {
            assert_eq!(topics.target(other), None, "{other}");
        }
    }
}
