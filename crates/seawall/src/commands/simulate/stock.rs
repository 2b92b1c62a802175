//! The scenarios in the binary.

use seawall_settings::Text;

/// One scenario of the binary.
pub(super) struct Stock {
    pub(super) name: &'static str,
    text: &'static str,
}

macro_rules! stock {
    ($($name:literal),+) => {
        [$(Stock {
            name: $name,
            text: include_str!(concat!("../../../scenarios/simulate/", $name, ".toml")),
        }),+]
    };
}

impl Stock {
    /// All of them, in the order in which they are listed.
    pub(super) const ALL: &'static [Self] = &stock![
        "overload",
        "outage",
        "slowdown",
        "hang",
        "storm",
        "flaky",
        "endpoint",
        "greedy",
        "priorities",
        "shared"
    ];

    /// Returns its text, under the name that errors call it.
    pub(super) fn text(&self) -> Text {
        Text { name: format!("{} (built in)", self.name).into(), text: self.text.into() }
    }
}

/// What `--example` prints.
pub(super) const EXAMPLE: &str = include_str!("../../../scenarios/simulate/example.toml");
