use super::sta::StaTopic;

/// Which topics are ours, all below one prefix, and those of SensorThings.
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

    /// The topic of SensorThings that this is: it begins with the version, or `sta/`, or, for brokers that
    /// we share with others, `<prefix>/sta/`.
    pub fn sta<'a>(&self, topic: &'a str) -> Option<StaTopic<'a>> {
        let below = topic
            .strip_prefix(self.prefix.as_str())
            .and_then(|it| it.strip_prefix('/'))
            .filter(|it| it.starts_with("sta/"));
        StaTopic::of(below.unwrap_or(topic))
    }

    /// What a message of a topic is; `None`: not ours, or of SensorThings.
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
    fn topics_of_sensorthings_may_be_below_the_prefix() {
        let topics = Topics::new("net/smartem");
        for topic in [
            "v1.1/Observations",
            "sta/v1.1/Observations",
            "net/smartem/sta/v1.1/Observations",
        ] {
            let path = topics.sta(topic).map(|it| it.path);
            assert_eq!(path, Some("Observations"), "{topic}");
            assert_eq!(topics.target(topic), None, "{topic}");
        }
        assert_eq!(topics.sta("net/smartem/v1.1/Observations"), None);
        assert_eq!(topics.sta("net/smartem/12/no2"), None);
    }

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
