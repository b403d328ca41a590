//! Reads and writes conditions as text: a preset, fields, or a preset and the fields that differ.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use crate::network_conditions::{NetworkConditions, Share};

/// Longest delay: more than any connection survives.
const DELAY_MAX: Duration = Duration::from_secs(10);
/// Longest burst of losses, in packets.
const BURST_MAX: u16 = 1_000;
/// Digits that a number may have behind its point.
const FRACTION_DIGITS_MAX: usize = 9;

/// What comes before the fields, and alone where no field differs.
const PRESETS: [(&str, NetworkConditions); 5] = [
    ("none", NetworkConditions::NONE),
    ("lan", NetworkConditions::LAN),
    ("broadband", NetworkConditions::BROADBAND),
    ("mobile", NetworkConditions::MOBILE),
    ("bad", NetworkConditions::BAD),
];
/// Units of time, in microseconds.
const TIMES: [(&str, u64); 4] = [("us", 1), ("µs", 1), ("ms", 1_000), ("s", 1_000_000)];
/// Units of shares, in millionths.
const SHARES: [(&str, u64); 1] = [("%", 10_000)];
/// Units of rates, in bytes a second; a bit is an eighth of a byte.
const RATES: [(&str, u64); 5] = [
    ("B/s", 1),
    ("kB/s", 1_000),
    ("MB/s", 1_000_000),
    ("kbit/s", 125),
    ("Mbit/s", 125_000),
];

/// Why a text is no conditions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionsError {
    /// There is no such preset.
    #[error("there are no conditions {0:?}; there are none, lan, broadband, mobile and bad")]
    UnknownPreset(String),
    /// Neither a field, nor a preset in the first place.
    #[error("{0:?} is no field; fields look like delay=40ms, and a preset comes first")]
    NoField(String),
    /// There is no such field.
    #[error(
        "there is no field {0:?}; there are delay, jitter, loss, burst, duplicate, reorder and rate"
    )]
    UnknownField(String),
    /// A field is there twice.
    #[error("{0} is there twice")]
    Repeated(&'static str),
    /// A field's value cannot be read or is out of its range.
    #[error("{field} cannot be {value:?}; it is {expected}")]
    BadValue {
        /// The field.
        field: &'static str,
        /// What it was to be.
        value: String,
        /// What it can be.
        expected: &'static str,
    },
    /// Packets would arrive before they were sent.
    #[error("the jitter can be no more than the delay")]
    JitterOverDelay,
}

/// What a field sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConditionField {
    Delay,
    Jitter,
    Loss,
    Burst,
    Duplicate,
    Reorder,
    Rate,
}

impl ConditionField {
    const ALL: [Self; 7] = [
        Self::Delay,
        Self::Jitter,
        Self::Loss,
        Self::Burst,
        Self::Duplicate,
        Self::Reorder,
        Self::Rate,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::Jitter => "jitter",
            Self::Loss => "loss",
            Self::Burst => "burst",
            Self::Duplicate => "duplicate",
            Self::Reorder => "reorder",
            Self::Rate => "rate",
        }
    }

    const fn expected(self) -> &'static str {
        match self {
            Self::Delay | Self::Jitter => "a time such as 40ms or 0.5s, at most 10s",
            Self::Loss | Self::Duplicate | Self::Reorder => {
                "a share such as 1% or 0.5%, at most 100%"
            }
            Self::Burst => "a whole number of packets from 1 to 1000",
            Self::Rate => "a rate such as 500kB/s or 4Mbit/s, at least 1B/s and below 4294MB/s",
        }
    }
}

/// A preset (`none`, `lan`, `broadband`, `mobile`, `bad`), then fields, all with commas between:
/// `mobile`, `delay=40ms,loss=1%`, `bad,burst=4,rate=500kB/s`.
impl FromStr for NetworkConditions {
    type Err = ConditionsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(',').map(str::trim).peekable();
        let named = parts.next_if(|part| !part.contains('='));
        let mut conditions = named.map_or(Ok(Self::NONE), preset)?;
        let mut seen = Vec::new();
        for part in parts {
            let pair = part.split_once('=');
            let (name, value) = pair.ok_or_else(|| ConditionsError::NoField(part.to_owned()))?;
            let known = ConditionField::ALL
                .into_iter()
                .find(|field| field.name() == name);
            let field = known.ok_or_else(|| ConditionsError::UnknownField(name.to_owned()))?;
            if seen.contains(&field) {
                return Err(ConditionsError::Repeated(field.name()));
            }
            seen.push(field);
            let set = conditions.set(field, value);
            set.ok_or_else(|| ConditionsError::BadValue {
                field: field.name(),
                value: value.to_owned(),
                expected: field.expected(),
            })?;
        }
        if conditions.jitter > conditions.delay {
            return Err(ConditionsError::JitterOverDelay);
        }
        Ok(conditions)
    }
}

fn preset(name: &str) -> Result<NetworkConditions, ConditionsError> {
    let known = PRESETS.iter().find(|preset| preset.0 == name);
    let known = known.ok_or_else(|| ConditionsError::UnknownPreset(name.to_owned()))?;
    Ok(known.1)
}

impl NetworkConditions {
    /// None when the field cannot have this value.
    fn set(&mut self, field: ConditionField, value: &str) -> Option<()> {
        match field {
            ConditionField::Delay => self.delay = time(value)?,
            ConditionField::Jitter => self.jitter = time(value)?,
            ConditionField::Loss => self.loss = share(value)?,
            ConditionField::Burst => {
                let burst = value.parse().ok()?;
                self.burst = (1..=BURST_MAX).contains(&burst).then_some(burst)?;
            }
            ConditionField::Duplicate => self.duplicate = share(value)?,
            ConditionField::Reorder => self.reorder = share(value)?,
            ConditionField::Rate => {
                let rate = u32::try_from(amount(value, &RATES)?).ok()?;
                self.rate = Some(NonZeroU32::new(rate)?);
            }
        }
        Some(())
    }

    /// The text of a field's value; none when it does nothing.
    fn value(&self, field: ConditionField) -> Option<String> {
        let time = |time: Duration| {
            let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            (micros > 0).then(|| format!("{}ms", decimal(micros, 1_000)))
        };
        let share = |share: Share| {
            (share != Share::NONE).then(|| format!("{}%", decimal(share.0.into(), 10_000)))
        };
        match field {
            ConditionField::Delay => time(self.delay),
            ConditionField::Jitter => time(self.jitter),
            ConditionField::Loss => share(self.loss),
            ConditionField::Burst => (self.burst > 1).then(|| self.burst.to_string()),
            ConditionField::Duplicate => share(self.duplicate),
            ConditionField::Reorder => share(self.reorder),
            ConditionField::Rate => {
                let rate = self.rate?.get();
                Some(format!("{}kB/s", decimal(rate.into(), 1_000)))
            }
        }
    }
}

/// Every field that does something, so that a report can be read without knowing the presets;
/// `none` without any.
impl fmt::Display for NetworkConditions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let write =
            |field: ConditionField| Some(format!("{}={}", field.name(), self.value(field)?));
        let fields: Vec<_> = ConditionField::ALL.into_iter().filter_map(write).collect();
        if fields.is_empty() {
            return formatter.write_str("none");
        }
        formatter.write_str(&fields.join(","))
    }
}

fn time(text: &str) -> Option<Duration> {
    let time = Duration::from_micros(amount(text, &TIMES)?);
    (time <= DELAY_MAX).then_some(time)
}

fn share(text: &str) -> Option<Share> {
    let share = u32::try_from(amount(text, &SHARES)?).ok()?;
    (share <= Share::WHOLE).then_some(Share(share))
}

/// A number with one of these units, exactly; None when it is finer than the units allow.
fn amount(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
    let (number, unit) = text.split_at(end);
    let (_, factor) = units.iter().find(|known| known.0 == unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.len() > FRACTION_DIGITS_MAX {
        return None;
    }
    let denominator = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
    let fraction = fraction.parse::<u64>().ok()?.checked_mul(*factor)?;
    if !fraction.is_multiple_of(denominator) {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(*factor)?;
    whole.checked_add(fraction / denominator)
}

/// A number of thousandths or ten-thousandths without needless zeros.
fn decimal(number: u64, parts: u64) -> String {
    let digits = usize::try_from(parts.ilog10()).unwrap_or_default();
    let text = format!("{}.{:0digits$}", number / parts, number % parts);
    let text = text.trim_end_matches('0');
    text.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<NetworkConditions, ConditionsError> {
        text.parse()
    }

    fn any_conditions() -> impl Strategy<Value = NetworkConditions> {
        let share = || (0..=Share::WHOLE).prop_map(Share);
        let times = (0..=10_000_000_u64).prop_flat_map(|delay| (Just(delay), 0..=delay));
        let rate = any::<u32>().prop_map(NonZeroU32::new);
        let losses = (share(), 1..=BURST_MAX);
        (times, losses, share(), share(), rate).prop_map(
            |((delay, jitter), (loss, burst), duplicate, reorder, rate)| NetworkConditions {
                delay: Duration::from_micros(delay),
                jitter: Duration::from_micros(jitter),
                loss,
                burst,
                duplicate,
                reorder,
                rate,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_it_was(conditions in any_conditions()) {
            prop_assert_eq!(parse(&conditions.to_string()), Ok(conditions));
        }

        #[test]
        fn no_text_panics(
            text in "\\PC{0,40}",
            name in "[a-z]{0,9}",
            value in "[0-9.%a-zB/]{0,24}",
        ) {
            let _ = parse(&text);
            let _ = parse(&format!("{name}={value}"));
            for field in ConditionField::ALL {
                let _ = parse(&format!("{}={value}", field.name()));
            }
        }
    }

    #[test]
    fn every_field_has_its_units() {
        let text = "delay=40ms,jitter=0.01s,loss=1%,burst=4,duplicate=0.5%,reorder=1%,rate=4Mbit/s";
        let read = parse(text).unwrap();
        assert_eq!(
            read.to_string(),
            "delay=40ms,jitter=10ms,loss=1%,burst=4,duplicate=0.5%,reorder=1%,rate=500kB/s"
        );
        assert_eq!(parse("delay=500us").unwrap().to_string(), "delay=0.5ms");
    }

    #[test]
    fn a_preset_is_changed_by_the_fields_behind_it() {
        assert_eq!(parse("bad"), Ok(NetworkConditions::BAD));
        let changed = parse("bad, loss=0%, delay=60ms").unwrap();
        assert_eq!(changed.to_string(), "delay=60ms,jitter=50ms,duplicate=1%");
        assert_eq!(
            parse("bad,delay=10ms"),
            Err(ConditionsError::JitterOverDelay)
        );
    }

    #[test]
    fn presets_are_written_by_their_fields() {
        let written = PRESETS.map(|(_, conditions)| conditions.to_string());
        assert_eq!(
            written,
            [
                "none",
                "delay=1ms",
                "delay=14ms,jitter=5ms,loss=0.4%,rate=625kB/s",
                "delay=35ms,jitter=15ms,loss=1%,burst=3,rate=1500kB/s",
                "delay=100ms,jitter=50ms,loss=5%,duplicate=1%",
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_reported() {
        use ConditionsError::{NoField, Repeated, UnknownField, UnknownPreset};
        assert_eq!(parse("worst"), Err(UnknownPreset("worst".to_owned())));
        assert_eq!(parse(""), Err(UnknownPreset(String::new())));
        assert_eq!(parse("loss=1%,bad"), Err(NoField("bad".to_owned())));
        assert_eq!(parse("bad,,"), Err(NoField(String::new())));
        assert_eq!(parse("lag=1ms"), Err(UnknownField("lag".to_owned())));
        assert_eq!(parse("loss=1%,loss=2%"), Err(Repeated("loss")));
    }

    #[test]
    fn values_out_of_range_or_without_a_unit_are_refused() {
        let bad = [
            "delay=40",
            "delay=-1ms",
            "delay=11s",
            "delay=0.0001ms",
            "delay=ms",
            "delay=1.ms",
            "jitter=1e3ms",
            "loss=101%",
            "loss=0.01",
            "loss=5",
            "loss=0.00001%",
            "burst=0",
            "burst=1001",
            "burst=2.5",
            "duplicate=x%",
            "reorder=%",
            "rate=0B/s",
            "rate=500",
            "rate=0.5B/s",
            "rate=4295MB/s",
            "rate=1.2.3kB/s",
        ];
        for text in bad {
            let error = parse(text);
            let Err(ConditionsError::BadValue { field, value, .. }) = error else {
                panic!("{text}: {error:?}")
            };
            assert_eq!(format!("{field}={value}"), text);
        }
    }
}
