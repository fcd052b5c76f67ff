package import CoreMetrics
import Synchronization

/// Keeps what the programs measure, and shows it in the Prometheus text format.
///
/// Meaning and buckets come from the catalog by name; a metric that the catalog does not know is kept too, with what
/// can be told from how it was made. A metric has at most `maxSeries` sets of labels: an id that slipped into a label
/// must not eat the memory. Series beyond that, and series of a kind that their metric has not, count in
/// `telemetry.series.dropped` and are not shown.
package final class MetricsRegistry: MetricsFactory, Sendable {
    package typealias Label = (String, String)

    struct SeriesKey: Hashable, Comparable {
        /// Name, value, name, value ..., by name.
        let labels: [String]

        init(_ labels: [Label]) {
            self.labels = labels.sorted { $0.0 < $1.0 }.flatMap { [$0.0, $0.1] }
        }

        static func < (left: Self, right: Self) -> Bool {
            left.labels.lexicographicallyPrecedes(right.labels)
        }
    }

    enum Instrument: Sendable {
        case counter(CounterInstrument)
        case gauge(GaugeInstrument)
        case histogram(HistogramInstrument)
    }

    struct Family: Sendable {
        let descriptor: MetricDescriptor
        var series: [SeriesKey: Instrument] = [:]
    }

    package static let maxSeries = 1_000

    private let catalog: [String: MetricDescriptor]
    private let families = Mutex<[String: Family]>([:])
    private let dropped = CounterInstrument()

    package init(catalog: [MetricDescriptor] = MetricCatalog.all) {
        self.catalog = Dictionary(catalog.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    // MARK: MetricsFactory

    package func makeCounter(label: String, dimensions: [Label]) -> any CounterHandler {
        let made = series(label, dimensions, kind: .counter, unit: nil) { _ in .counter(CounterInstrument()) }
        if case .counter(let counter)? = made { return counter }
        return CounterInstrument()
    }

    package func makeMeter(label: String, dimensions: [Label]) -> any MeterHandler {
        gauge(label, dimensions)
    }

    package func makeRecorder(label: String, dimensions: [Label], aggregate: Bool) -> any RecorderHandler {
        aggregate ? histogram(label, dimensions, unit: nil) : gauge(label, dimensions)
    }

    package func makeTimer(label: String, dimensions: [Label]) -> any TimerHandler {
        histogram(label, dimensions, unit: .seconds)
    }

    // A series stays for the life of the process, as its readers expect: one that vanished would read as a restart.
    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    private func gauge(_ label: String, _ dimensions: [Label]) -> GaugeInstrument {
        let made = series(label, dimensions, kind: .gauge, unit: nil) { _ in .gauge(GaugeInstrument()) }
        if case .gauge(let gauge)? = made { return gauge }
        return GaugeInstrument()
    }

    private func histogram(
        _ label: String, _ dimensions: [Label], unit: MetricDescriptor.Unit?
    ) -> HistogramInstrument {
        let made = series(label, dimensions, kind: .histogram, unit: unit) { descriptor in
            .histogram(HistogramInstrument(bounds: descriptor.buckets))
        }
        if case .histogram(let histogram)? = made { return histogram }
        return HistogramInstrument(bounds: [])
    }

    /// The series, made if it is new; nil if it may not be kept.
    private func series(
        _ name: String, _ labels: [Label], kind: MetricDescriptor.Kind, unit: MetricDescriptor.Unit?,
        make: (MetricDescriptor) -> Instrument
    ) -> Instrument? {
        let key = SeriesKey(labels)
        let made = families.withLock { families -> Instrument? in
            var family = families[name] ?? Family(descriptor: catalog[name] ?? Self.guess(name, kind, unit))
            guard family.descriptor.kind == kind else { return nil }
            if let known = family.series[key] { return known }
            guard family.series.count < Self.maxSeries else { return nil }
            let instrument = make(family.descriptor)
            family.series[key] = instrument
            families[name] = family
            return instrument
        }
        if made == nil { dropped.increment(by: 1) }
        return made
    }

    private static func guess(
        _ name: String, _ kind: MetricDescriptor.Kind, _ unit: MetricDescriptor.Unit?
    ) -> MetricDescriptor {
        MetricDescriptor(name, kind, unit, "\(name), as the program counts it.")
    }

    // MARK: Exposition

    /// All metrics in the Prometheus text format, version 0.0.4; families and series in a stable order.
    package func exposition() -> String {
        var text = PrometheusText()
        let droppedName = "telemetry.series.dropped"
        var families = families.withLock { $0 }
        if dropped.value > 0 {
            var family = Family(
                descriptor: catalog[droppedName] ?? Self.guess(droppedName, .counter, nil))
            family.series[SeriesKey([])] = .counter(dropped)
            families[droppedName] = family
        }
        for family in families.values.sorted(by: { $0.descriptor.exposedName < $1.descriptor.exposedName }) {
            text.add(family)
        }
        return text.output
    }
}
