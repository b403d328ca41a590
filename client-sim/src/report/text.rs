//! The report of a run as lines for the terminal.

use super::{LoadReport, RunOutcome, RunVerdict, Second, TickPartTimes};

impl LoadReport {
    /// A summary for the terminal.
    #[must_use]
    pub fn summary(&self) -> String {
        let ms = |value: Option<f64>| value.map_or("–".to_owned(), |ms| format!("{ms:.1} ms"));
        let latency = self.latency.input_to_state_ms.as_ref();
        let mut lines = vec![
            format!("{}: {}", self.title, self.verdict.headline()),
            format!(
                "  tick p50 {}, p99 {}, {} ticks/s",
                ms(self.tick.p50_ms),
                ms(self.tick.p99_ms),
                self.tick
                    .ticks_per_s
                    .map_or("–".to_owned(), |rate| format!("{rate:.2}")),
            ),
            format!(
                "  input to state p50 {}, p95 {}, p99 {}",
                ms(latency.map(|times| times.p50)),
                ms(latency.map(|times| times.p95)),
                ms(latency.map(|times| times.p99)),
            ),
            format!(
                "  {} let in, {} refused ({} told when to try again), {} disconnects, \
                 {} inputs late, {} kills",
                self.totals.connected,
                self.totals.refused,
                self.totals.refused_saying_when,
                self.totals.disconnects,
                self.totals.inputs_late,
                self.totals.kills,
            ),
        ];
        lines.extend(self.part_lines());
        let clients = self.figures.clients.iter();
        lines.extend(clients.map(|found| format!("  {}", found.line())));
        lines.extend(self.churn_line());
        let left = self.left_behind();
        lines.extend(left.map(|left| format!("  everybody gone, against before: {left}")));
        lines.extend(self.gates.iter().map(|gate| format!("  {gate}")));
        lines.extend(self.verdict.reasons.iter().map(|why| format!("  {why}")));
        lines.join("\n")
    }

    fn part_lines(&self) -> Vec<String> {
        let parts = &self.tick.parts;
        let title = (!parts.is_empty()).then(|| "  parts of a tick: mean, p99 µs".to_owned());
        let lines = parts.iter().map(|part| {
            let TickPartTimes {
                name,
                mean_us,
                p99_us,
                share,
            } = part;
            let share = share * 100.0;
            format!("    {name:<15}{mean_us:8.0}{p99_us:9.0}{share:6.1} %")
        });
        title.into_iter().chain(lines).collect()
    }

    fn churn_line(&self) -> Option<String> {
        let (joins, leaves) = (self.totals.churn_joins, self.totals.churn_leaves);
        let any = self.plan.churn_per_s > 0;
        any.then(|| format!("  while it went on {joins} joined and {leaves} left"))
    }

    /// What the server has more than before it began; none before everybody has left.
    #[must_use]
    pub fn left_behind(&self) -> Option<String> {
        self.settled.as_ref()?;
        let more =
            |value: Option<f64>| value.map_or("–".to_owned(), |more| format!("{more:+.0}"));
        Some(format!(
            "{} MiB, {} files, {} tasks, {} entities",
            more(self.figures.rss_growth_mib),
            more(self.figures.files_left),
            more(self.figures.tasks_left),
            more(self.figures.entities_left),
        ))
    }
}

impl RunVerdict {
    /// The state in a word.
    #[must_use]
    pub fn headline(&self) -> &'static str {
        match self.state {
            RunOutcome::Passed => "passed",
            RunOutcome::Failed => "failed",
            RunOutcome::Void => "void",
        }
    }
}

impl Second {
    /// One line for a log.
    #[must_use]
    pub fn line(&self) -> String {
        let number = |value: Option<f64>| value.map_or("–".to_owned(), |ms| format!("{ms:.1}"));
        let share = |value: Option<f64>| {
            value.map_or("–".to_owned(), |share| format!("{:.0} %", share * 100.0))
        };
        format!(
            "{:5.0} s  {:5} players  tick p50 {} p99 {} ms  {} ticks/s  input-state p95 {} ms  \
             {} snapshots/s (min {})  server {}  {:.0} MB  bots {}  lag {} ms",
            self.at_s,
            self.players,
            number(self.tick_p50_ms),
            number(self.tick_p99_ms),
            number(self.ticks_per_s),
            number(self.input_to_state_p95_ms),
            number(self.snapshots_per_s),
            number(self.snapshots_per_s_min),
            share(self.server_cpu),
            self.server_rss_bytes.unwrap_or_default() / 1e6,
            share(self.bots_cpu),
            number(self.bots_lag_max_ms),
        )
    }
}
