// Draws the charts of a report, in the browser: bars for single figures, lines for what was measured along some number.
import {
  BarController,
  BarElement,
  CategoryScale,
  Chart,
  Legend,
  LinearScale,
  LineController,
  LineElement,
  PointElement,
  Tooltip,
} from "chart.js";

Chart.register(BarController, BarElement, LineController, LineElement, PointElement);
Chart.register(CategoryScale, LinearScale, Legend, Tooltip);

const benchmarks = JSON.parse(document.getElementById("data").textContent);
const peers = [
  ...new Set(benchmarks.flatMap(({ contestants }) => contestants.map(({ peer }) => peer)).filter(Boolean)),
];
const dark = matchMedia("(prefers-color-scheme: dark)");
const ours = { light: ["#d9480f", "#e67700", "#a61e4d"], dark: ["#ff8a4c", "#ffc14d", "#ff6f9f"] };
const theirs = {
  light: ["#1864ab", "#2b8a3e", "#495057", "#6741d9", "#087f8c", "#845c32", "#c2255c", "#5c940d", "#9c36b5"],
  dark: ["#74b8ff", "#69db7c", "#c1c8cf", "#b197fc", "#4fd8e0", "#d9b38c", "#ff8fab", "#c0eb75", "#e599f7"],
};

let charts = [];

function draw() {
  for (const chart of charts) chart.destroy();
  const style = getComputedStyle(document.documentElement);
  Chart.defaults.color = style.getPropertyValue("--text");
  Chart.defaults.borderColor = style.getPropertyValue("--line");
  Chart.defaults.font.size = 12;
  Chart.defaults.animation = false;
  charts = benchmarks.flatMap(drawBenchmark);
}

function drawBenchmark({ name, contestants, rows }) {
  const place = document.getElementById(name).querySelector(".charts");
  place.replaceChildren();
  const colors = colorsOf(contestants);
  return chartsOf(rows).map(({ title, rows }) => {
    const lines = rows.length > 1;
    const [canvas, height] = [
      document.createElement("canvas"),
      lines ? 280 : 44 + 30 * Object.keys(rows[0].figures).length,
    ];
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${title}: the figures are in the table below`);
    const [figure, heading, plot] = ["figure", "h3", "div"].map((tag) => document.createElement(tag));
    heading.textContent = title;
    plot.className = "plot";
    plot.style.height = `${height}px`;
    plot.append(canvas);
    figure.append(heading, plot);
    place.append(figure);
    return new Chart(canvas, lines ? linesOf(rows, colors) : barsOf(rows[0], colors));
  });
}

/** Rows with figures, those together that are points of the same lines. A row that is set beside two peers is there twice. */
function chartsOf(rows) {
  const found = new Map();
  for (const row of new Map(rows.map((row) => [row.key, row])).values()) {
    if (Object.keys(row.figures).length === 0) continue;
    const title = row.chart?.title ?? row.what;
    if (!found.has(title)) found.set(title, []);
    found.get(title).push(row);
  }
  return [...found].map(([title, rows]) => ({ title: rows.length > 1 ? title : rows[0].what, rows }));
}

/** A peer has the same color in all charts. */
function colorsOf(contestants) {
  const theme = dark.matches ? "dark" : "light";
  let count = 0;
  const colorOf = (peer) =>
    peer === undefined
      ? ours[theme][count++ % ours[theme].length]
      : theirs[theme][peers.indexOf(peer) % theirs[theme].length];
  return Object.fromEntries(contestants.map(({ name, peer }) => [name, colorOf(peer)]));
}

const tell = (value) => value.toLocaleString("en-US", { maximumFractionDigits: value < 10 ? 2 : value < 100 ? 1 : 0 });

function barsOf({ figures }, colors) {
  const names = Object.keys(figures);
  const spreads = names.map((name) => figures[name]);
  return {
    type: "bar",
    data: {
      labels: names.map((name) => `${name}  ${tell(figures[name].median)}`),
      datasets: [
        { data: spreads.map(({ median }) => median), backgroundColor: names.map((name) => colors[name]), spreads },
      ],
    },
    options: {
      indexAxis: "y",
      maintainAspectRatio: false,
      scales: {
        x: { beginAtZero: true, suggestedMax: Math.max(...spreads.map(({ max }) => max)), ticks: { maxTicksLimit: 5 } },
        y: { grid: { display: false } },
      },
      plugins: { legend: { display: false }, tooltip: { callbacks: { label: spreadLabel } } },
    },
    plugins: [whiskers],
  };
}

function linesOf(rows, colors) {
  const names = [...new Set(rows.flatMap(({ figures }) => Object.keys(figures)))];
  const greatest = Math.max(...rows.flatMap(({ figures }) => Object.values(figures).map(({ max }) => max)));
  return {
    type: "line",
    data: {
      labels: rows.map(({ chart }) => chart.at.toLocaleString("en-US")),
      datasets: names.map((name) => ({
        label: name,
        data: rows.map(({ figures }) => figures[name]?.median ?? null),
        spreads: rows.map(({ figures }) => figures[name]),
        borderColor: colors[name],
        backgroundColor: colors[name],
        borderWidth: 2,
      })),
    },
    options: {
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      scales: {
        x: { title: { display: true, text: rows[0].chart.along }, offset: true },
        y: { beginAtZero: true, suggestedMax: greatest, ticks: { maxTicksLimit: 6 } },
      },
      plugins: {
        legend: { position: "bottom", labels: { boxWidth: 12, boxHeight: 12 } },
        tooltip: { callbacks: { label: (item) => `${item.dataset.label}: ${spreadLabel(item)}` } },
      },
    },
    plugins: [whiskers],
  };
}

function spreadLabel({ dataset, dataIndex }) {
  const { median, min, max } = dataset.spreads[dataIndex];
  return min === max ? tell(median) : `${tell(median)} (${tell(min)}..${tell(max)})`;
}

/** A thin line from the least to the greatest figure, over each bar and point. */
const whiskers = {
  id: "whiskers",
  afterDatasetsDraw(chart) {
    const { ctx, data, scales, options } = chart;
    const flat = options.indexAxis === "y";
    const scale = flat ? scales.x : scales.y;
    ctx.save();
    ctx.lineWidth = 1.5;
    for (const [index, { spreads, borderColor }] of data.datasets.entries()) {
      if (!chart.isDatasetVisible(index)) continue;
      ctx.strokeStyle = flat ? Chart.defaults.color : borderColor;
      for (const [at, element] of chart.getDatasetMeta(index).data.entries()) {
        if (!spreads[at] || spreads[at].min === spreads[at].max) continue;
        const [from, to] = [scale.getPixelForValue(spreads[at].min), scale.getPixelForValue(spreads[at].max)];
        ctx.beginPath();
        ctx.moveTo(flat ? from : element.x, flat ? element.y : from);
        ctx.lineTo(flat ? to : element.x, flat ? element.y : to);
        ctx.stroke();
      }
    }
    ctx.restore();
  },
};

draw();
dark.addEventListener("change", draw);
