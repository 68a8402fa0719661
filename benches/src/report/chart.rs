//! A line chart as SVG, both axes logarithmic.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 54.0;

/// Names at the ends of the lines are at least so far apart.
const NAME_GAP: f64 = 16.0;

/// One curve.
pub struct Line {
    pub name: &'static str,
    pub color: &'static str,
    /// By ascending x; all figures are above zero.
    pub dots: Vec<(f64, f64)>,
}

/// A chart with at least one line.
pub struct Chart {
    pub title: &'static str,
    pub x_label: &'static str,
    pub y_label: &'static str,
    pub lines: Vec<Line>,
}

/// Where figures lie on one axis.
struct Axis {
    low: f64,
    high: f64,
    start: f64,
    end: f64,
}

impl Axis {
    fn new(figures: impl Iterator<Item = f64>, start: f64, end: f64) -> Self {
        let (low, high) = figures
            .map(f64::log10)
            .fold((f64::MAX, f64::MIN), |(low, high), figure| {
                (low.min(figure), high.max(figure))
            });
        Self {
            low,
            high: high.max(low + 0.01),
            start,
            end,
        }
    }

    /// From and to whole powers of ten.
    fn widened(self) -> Self {
        let low = self.low.floor();
        Self {
            low,
            high: self.high.ceil().max(low + 1.0),
            ..self
        }
    }

    fn at(&self, figure: f64) -> f64 {
        self.start + (figure.log10() - self.low) / (self.high - self.low) * (self.end - self.start)
    }

    fn powers(&self) -> impl Iterator<Item = f64> + use<> {
        let (first, last) = (self.low.ceil() as i32, (self.high + 1e-9).floor() as i32);
        (first..=last).map(|power| 10_f64.powi(power))
    }
}

impl Chart {
    /// The picture.
    pub fn svg(&self) -> String {
        let dots = || self.lines.iter().flat_map(|line| &line.dots);
        let x = Axis::new(dots().map(|dot| dot.0), LEFT, WIDTH - RIGHT);
        let y = Axis::new(dots().map(|dot| dot.1), HEIGHT - BOTTOM, TOP).widened();
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#4a5058\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
             <text x=\"{LEFT}\" y=\"24\" font-size=\"16\" font-weight=\"600\" fill=\"#20242a\">{}</text>\n",
            self.title
        );
        self.grid(&mut svg, &x, &y);
        for line in &self.lines {
            let path: Vec<_> = line
                .dots
                .iter()
                .map(|dot| format!("{:.1},{:.1}", x.at(dot.0), y.at(dot.1)))
                .collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2.2\" stroke-linejoin=\"round\"/>",
                path.join(" "),
                line.color
            );
            for dot in &line.dots {
                let (x, y) = (x.at(dot.0), y.at(dot.1));
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{}\"/>",
                    line.color
                );
            }
        }
        self.names(&mut svg, &y);
        svg.push_str("</svg>\n");
        svg
    }

    fn grid(&self, svg: &mut String, x: &Axis, y: &Axis) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for power in y.powers() {
            let at = y.at(power);
            let _ = writeln!(
                svg,
                "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#e3e6ea\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                at + 4.0,
                short(power)
            );
        }
        for power in x.powers() {
            let at = x.at(power);
            let _ = writeln!(
                svg,
                "<path d=\"M{at:.1} {TOP}V{bottom}\" stroke=\"#f0f2f4\"/>\
                 <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                bottom + 18.0,
                short(power)
            );
        }
        let (middle, center) = ((LEFT + right) / 2.0, (TOP + bottom) / 2.0);
        let _ = writeln!(
            svg,
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n\
             <text transform=\"translate(18 {center}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            HEIGHT - 14.0,
            self.x_label,
            self.y_label
        );
    }

    /// Each line's name at its end, moved down where two would overlap.
    fn names(&self, svg: &mut String, y: &Axis) {
        let mut ends: Vec<_> = self
            .lines
            .iter()
            .filter_map(|line| Some((y.at(line.dots.last()?.1), line)))
            .collect();
        ends.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut free = TOP;
        for (end, line) in ends {
            let at = end.max(free);
            free = at + NAME_GAP;
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{:.1}\" fill=\"{}\" font-weight=\"600\">{}</text>",
                WIDTH - RIGHT + 12.0,
                at + 4.0,
                line.color,
                line.name
            );
        }
    }
}

/// `10000` as `10k`.
fn short(number: f64) -> String {
    match number {
        n if n >= 1e9 => format!("{:.0}G", n / 1e9),
        n if n >= 1e6 => format!("{:.0}M", n / 1e6),
        n if n >= 1e3 => format!("{:.0}k", n / 1e3),
        n => format!("{n:.0}"),
    }
}
