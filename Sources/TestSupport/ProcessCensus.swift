import Foundation
import Glibc

/// What this process holds at a moment, by kind: for tests that nothing stays behind.
///
/// It counts for the whole process, so such a test runs in one of its own: inside `#expect(processExitsWith: .success)`.
package struct ProcessCensus: Sendable {
    /// How many of each: `thread NAME`, and `descriptor KIND` such as `socket`, `anon_inode:[eventfd]` or a path.
    package let counts: [String: Int]
    /// Memory in use, in KiB.
    package let residentKiB: Int

    /// Sanitizers keep freed memory on purpose, so growth says nothing under them.
    package static let isSanitized = dlsym(nil, "__tsan_init") != nil || dlsym(nil, "__asan_init") != nil

    /// Counts.
    package init() throws {
        let files = FileManager.default
        var counts: [String: Int] = [:]
        for entry in try files.contentsOfDirectory(atPath: "/proc/self/task") {
            // A thread may end between the listing and the look at it.
            guard let name = try? String(contentsOfFile: "/proc/self/task/\(entry)/comm", encoding: .utf8) else {
                continue
            }
            counts["thread \(name.dropLast())", default: 0] += 1
        }
        for entry in try files.contentsOfDirectory(atPath: "/proc/self/fd") {
            guard let target = try? files.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(entry)") else { continue }
            // Without the number, as in `socket:[1234]`; the listing's own descriptor is gone.
            let kind = target.contains(":[") && !target.hasPrefix("anon") ? String(target.prefix { $0 != ":" }) : target
            counts["descriptor \(kind)", default: 0] += 1
        }
        self.counts = counts
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
        residentKiB = Int(line.filter(\.isNumber)) ?? 0
    }

    /// What there is more of than before, once it has had time to end: threads and sockets go a moment after the last
    /// reference to their owner.
    ///
    /// Threads with the process's own name or that of one of Dispatch's queues, and the descriptors of timers, are left out
    /// up to `unnamed` each: those are of Swift's pool and its sleeping tasks, which grow as they like, up to a few. Ours
    /// have names of their own, and wait in `poll`.
    /// - Parameter limit: how long to wait for nothing being left.
    package static func excess(
        over before: ProcessCensus, within limit: Duration = .seconds(20), unnamed: Int = 8
    ) async throws -> [String: Int] {
        let own = try String(contentsOfFile: "/proc/self/comm", encoding: .utf8).dropLast()
        // A sanitizer talks to the program that names its addresses over pipes.
        let pooled = ["thread \(own)", "descriptor anon_inode:[timerfd]"] + (isSanitized ? ["descriptor pipe"] : [])
        let end = ContinuousClock.now + limit
        while true {
            let counts = try ProcessCensus().counts
            let excess = counts.compactMap { kind, count -> (String, Int)? in
                let more = count - before.counts[kind, default: 0]
                // Dispatch names its threads after their queues, `com.apple.root.default-qos` and its like; Linux keeps the end.
                let isPooled = pooled.contains(kind) || kind.hasPrefix("thread ") && kind.contains("-qos")
                return more > (isPooled ? unnamed : 0) ? (kind, more) : nil
            }
            if excess.isEmpty || ContinuousClock.now > end { return Dictionary(uniqueKeysWithValues: excess) }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}
