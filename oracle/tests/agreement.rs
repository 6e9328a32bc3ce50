//! A short run of the comparison; the long one is `make oracle`.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod support;

use portolan_oracle::draw::Wanted;
use portolan_oracle::run::{self, Options};

#[test]
fn kernel_simulator_and_analysis_agree_about_random_rules() {
    // A stage says whether there may be one; the run makes its own.
    support::on_stage("kernel_simulator_and_analysis_agree_about_random_rules", |rig| {
        drop(rig);
        let options = Options {
            seed: 2026,
            first: 0,
            rulesets: 30,
            wanted: Wanted::default(),
            probes: 100,
            witnessed: 30,
            jobs: 2,
            most: 1,
        };
        let report = run::run(&options).unwrap();
        let summary = report.summary(&options);
        assert!(report.disagreements.is_empty(), "{}\n{summary}", report.disagreements.concat());
        assert!(report.probes > 1000 && report.analysed > 500, "{summary}");
    });
}
