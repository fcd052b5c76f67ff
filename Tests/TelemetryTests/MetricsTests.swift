import CoreMetrics
import Foundation
import Telemetry
import Testing

@Suite struct MetricsTests {
    @Test func everyKindIsExposedWithHelpTypeAndBaseUnits() {
        let registry = MetricsRegistry(catalog: [
            MetricDescriptor("worker.jobs", .counter, "Jobs."),
            MetricDescriptor("outbox.lag", .gauge, .seconds, "Lag."),
            MetricDescriptor("worker.job.duration", .histogram, .seconds, buckets: [0.1, 1], "Time."),
        ])
        registry.makeCounter(label: "worker.jobs", dimensions: [("queue", "sync"), ("outcome", "done")]).increment(
            by: 3)
        registry.makeRecorder(label: "outbox.lag", dimensions: [], aggregate: false).record(2.5)
        let timer = registry.makeTimer(label: "worker.job.duration", dimensions: [("queue", "sync")])
        timer.recordNanoseconds(50_000_000)
        timer.recordNanoseconds(1_000_000_000)
        timer.recordNanoseconds(7_000_000_000)
        #expect(
            registry.exposition() == """
                # HELP outbox_lag_seconds Lag.
                # TYPE outbox_lag_seconds gauge
                outbox_lag_seconds 2.5
                # HELP worker_job_duration_seconds Time.
                # TYPE worker_job_duration_seconds histogram
                worker_job_duration_seconds_bucket{queue="sync",le="0.1"} 1
                worker_job_duration_seconds_bucket{queue="sync",le="1"} 2
                worker_job_duration_seconds_bucket{queue="sync",le="+Inf"} 3
                worker_job_duration_seconds_sum{queue="sync"} 8.05
                worker_job_duration_seconds_count{queue="sync"} 3
                # HELP worker_jobs_total Jobs.
                # TYPE worker_jobs_total counter
                worker_jobs_total{outcome="done",queue="sync"} 3

                """)
    }

    @Test func labelsAreEscapedAndTheirOrderDoesNotMatter() {
        let registry = MetricsRegistry(catalog: [])
        registry.makeCounter(label: "c", dimensions: [("b", "1"), ("a", "x\"y\\z\n")]).increment(by: 1)
        registry.makeCounter(label: "c", dimensions: [("a", "x\"y\\z\n"), ("b", "1")]).increment(by: 1)
        #expect(registry.exposition().contains(#"c_total{a="x\"y\\z\n",b="1"} 2"#))
    }

    @Test func seriesBeyondTheLimitAreRefusedAndCounted() {
        let registry = MetricsRegistry()
        for number in 0..<(MetricsRegistry.maxSeries + 5) {
            registry.makeCounter(label: "worker.jobs", dimensions: [("queue", "\(number)")]).increment(by: 1)
        }
        let lines = registry.exposition().split(separator: "\n")
        #expect(lines.count { $0.hasPrefix("worker_jobs_total{") } == MetricsRegistry.maxSeries)
        #expect(lines.contains("telemetry_series_dropped_total 5"))
    }

    @Test func aMetricKeepsTheKindOfItsDescription() {
        let registry = MetricsRegistry()
        registry.makeRecorder(label: "worker.jobs", dimensions: [], aggregate: false).record(7.0)
        #expect(!registry.exposition().contains("worker_jobs"))
        #expect(registry.exposition().contains("telemetry_series_dropped_total 1"))
    }

    @Test func countersNeverFallAndDoNotWrap() {
        let registry = MetricsRegistry(catalog: [])
        let counter = registry.makeCounter(label: "c", dimensions: [])
        counter.increment(by: 2)
        counter.increment(by: -5)
        #expect(registry.exposition().contains("c_total 2\n"))
        counter.increment(by: .max)
        #expect(registry.exposition().contains("c_total \(Int64.max)\n"))
    }

    @Test(.timeLimit(.minutes(1))) func concurrentObservationsAreAllCounted() async {
        let registry = MetricsRegistry(catalog: [])
        await withDiscardingTaskGroup { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<1_000 {
                        registry.makeCounter(label: "c", dimensions: [("l", "1")]).increment(by: 1)
                        registry.makeTimer(label: "t", dimensions: []).recordNanoseconds(1_000)
                    }
                }
            }
        }
        #expect(registry.exposition().contains("c_total{l=\"1\"} 8000\n"))
        #expect(registry.exposition().contains("t_seconds_count 8000\n"))
    }

    @Test func theCatalogNamesNothingTwice() {
        let names = MetricCatalog.all.map(\.exposedName)
        #expect(Set(names).count == names.count)
        for descriptor in MetricCatalog.all {
            #expect(descriptor.buckets == descriptor.buckets.sorted())
            #expect(descriptor.help.hasSuffix("."))
        }
    }

    @Test(.timeLimit(.minutes(1))) func promtoolAcceptsTheWholeCatalog() throws {
        let registry = MetricsRegistry()
        for descriptor in MetricCatalog.all {
            let labels = [("queue", "sync"), ("outcome", "a \"quoted\" \\ word\n")]
            switch descriptor.kind {
            case .counter: registry.makeCounter(label: descriptor.name, dimensions: labels).increment(by: 1)
            case .gauge:
                registry.makeRecorder(label: descriptor.name, dimensions: labels, aggregate: false).record(0.5)
            case .histogram: registry.makeTimer(label: descriptor.name, dimensions: labels).recordNanoseconds(1)
            }
        }
        let page = registry.page
        #expect(page.contains("process_resident_memory_bytes "))
        let (status, complaints) = try Self.promtool(page)
        #expect(status == 0 && complaints == "", "\(complaints)")
        // The checker is no yes-man.
        #expect(try Self.promtool(page + "broken{ 1\n").0 != 0)
    }

    /// Runs `promtool check metrics` over a page.
    static func promtool(_ page: String) throws -> (Int32, String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["promtool", "check", "metrics"]
        let input = Pipe()
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        process.standardError = output
        try process.run()
        try input.fileHandleForWriting.write(contentsOf: Data(page.utf8))
        try input.fileHandleForWriting.close()
        let text = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: text, as: UTF8.self))
    }
}
