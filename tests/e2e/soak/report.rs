//! The report of a soak: a table of samples, a plot of each quantity, and a page that shows them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use plotters::prelude::*;

use super::quantities::{QUANTITIES, Quantity};
use super::sampler::Sample;
use super::slope::Line;

/// The line of a quantity after the warm-up, over hours, and what it exceeds.
pub struct Finding {
    pub quantity: &'static Quantity,
    pub line: Line,
    points: Vec<(f64, f64)>,
    /// Number of samples of the warm-up.
    cut: usize,
    /// The run was long enough.
    is_tested: bool,
}

impl Finding {
    /// Returns what is exceeded, of a run that was long enough.
    pub fn complaint(&self) -> Option<String> {
        let (_, largest) = extent(self.points.iter().map(|(_, value)| *value));
        self.is_tested.then(|| self.quantity.complaint(&self.line, largest))?
    }

    fn cells(&self) -> [String; 8] {
        let values = self.points[self.cut..].iter().map(|(_, value)| *value);
        let (least, most) = extent(values.clone());
        let (first, last) = (self.points[self.cut].1, self.points[self.points.len() - 1].1);
        let number = |value: f64| format!("{value:.2}");
        [
            format!("{} ({})", self.quantity.name, self.quantity.unit),
            number(first),
            number(last),
            number(least),
            number(most),
            format!("{:.3} ± {:.3}", self.line.slope, 3.0 * self.line.error),
            self.quantity.bound(),
            match self.complaint() {
                Some(_) => "exceeded".to_owned(),
                None if self.is_tested => "kept".to_owned(),
                None => "too short a run".to_owned(),
            },
        ]
    }
}

const HEAD: [&str; 8] =
    ["quantity", "first", "last", "least", "most", "slope an hour", "allowed", "verdict"];

/// Fits a line to each quantity; the first quarter is the warm-up. In a run that is too short nothing is exceeded.
pub fn findings(samples: &[Sample], is_tested: bool) -> Vec<Finding> {
    let cut = samples.len() / 4;
    let finding = |(index, quantity): (usize, &'static Quantity)| {
        let point = |sample: &Sample| (sample.after.as_secs_f64() / 3600.0, sample.values[index]);
        let points: Vec<_> = samples.iter().map(point).collect();
        Finding { quantity, line: Line::through(&points[cut..]), points, cut, is_tested }
    };
    QUANTITIES.iter().enumerate().map(finding).collect()
}

/// Returns the findings as lines of a table.
pub fn table(findings: &[Finding]) -> String {
    let rows = [HEAD.map(String::from)].into_iter().chain(findings.iter().map(Finding::cells));
    rows.map(|cells| cells.join(" | ") + "\n").collect()
}

/// Writes samples.csv: for those who look while the soak runs, and those who ask why it ended early.
pub fn keep(directory: &Path, samples: &[Sample]) {
    fs::create_dir_all(directory).expect("the directory of the report");
    fs::write(directory.join("samples.csv"), csv(samples)).expect("samples.csv");
}

/// Writes samples.csv, a plot of each quantity, and index.html.
pub fn write(directory: &Path, samples: &[Sample], findings: &[Finding], notes: &[String]) {
    keep(directory, samples);
    for finding in findings {
        plot(&directory.join(file_of(finding.quantity)), finding).expect("a plot");
    }
    fs::write(directory.join("index.html"), page(findings, notes)).expect("index.html");
}

fn file_of(quantity: &Quantity) -> String {
    format!("{}.svg", quantity.name.replace(' ', "-"))
}

fn csv(samples: &[Sample]) -> String {
    let names = QUANTITIES.iter().map(|quantity| format!("{} ({})", quantity.name, quantity.unit));
    let mut text = format!("seconds,{}\n", names.collect::<Vec<_>>().join(","));
    for sample in samples {
        let values = sample.values.map(|value| format!("{value:.3}")).join(",");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:.1},{values}", sample.after.as_secs_f64());
    }
    text
}

fn page(findings: &[Finding], notes: &[String]) -> String {
    let row = |cells: &[String; 8], tag: &str| {
        let cells = cells.iter().map(|cell| format!("<{tag}>{cell}</{tag}>"));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let head = row(&HEAD.map(String::from), "th");
    let rows: String = findings.iter().map(|finding| row(&finding.cells(), "td")).collect();
    let notes = notes.join("</li>\n<li>");
    let plots = findings.iter().map(|Finding { quantity, .. }| {
        let (name, why, bound) = (quantity.name, quantity.why, quantity.bound());
        let file = file_of(quantity);
        format!("<h2>{name}</h2>\n<p>Allowed an hour: {bound}; {why}.</p>\n<img src=\"{file}\" alt=\"{name}\">\n")
    });
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Soak</title>\n\
         <style>body {{ font-family: sans-serif; margin: 2em }} td, th {{ padding: 0.2em 0.8em; text-align: right }}</style>\n\
         </head><body>\n<h1>Soak</h1>\n<ul>\n<li>{notes}</li>\n</ul>\n\
         <p>Slopes are fitted after the warm-up, the first quarter, with three standard errors.</p>\n\
         <table>\n{head}{rows}</table>\n{}</body></html>\n",
        plots.collect::<String>()
    )
}

fn extent(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| {
        (least.min(value), most.max(value))
    })
}

/// Draws the samples over minutes, and the fitted line.
fn plot(file: &Path, finding: &Finding) -> Result<(), Box<dyn std::error::Error>> {
    let Finding { quantity, line, points, cut, .. } = finding;
    let root = SVGBackend::new(file, (900, 320)).into_drawing_area();
    root.fill(&WHITE)?;
    let (least, most) = extent(points.iter().map(|(_, value)| *value));
    // A constant has a range, too.
    let room = ((most - least) * 0.05).max(most.abs() * 0.001).max(0.001);
    let minutes = |hours: f64| hours * 60.0;
    let end = points[points.len() - 1].0;
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .caption(format!("{}, {}", quantity.name, quantity.unit), ("sans-serif", 18))
        .x_label_area_size(32)
        .y_label_area_size(72)
        .build_cartesian_2d(0.0..minutes(end), (least - room)..(most + room))?;
    chart.configure_mesh().x_desc("minutes").light_line_style(WHITE).draw()?;
    chart.draw_series(LineSeries::new(
        points.iter().map(|(hours, value)| (minutes(*hours), *value)),
        &BLUE,
    ))?;
    let fitted = [points[*cut].0, end].map(|hours| (minutes(hours), line.at(hours)));
    chart.draw_series(LineSeries::new(fitted, RED.stroke_width(2)))?;
    root.present()?;
    Ok(())
}
