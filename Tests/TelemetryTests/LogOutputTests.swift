import Foundation
import Glibc
import Synchronization
import Telemetry
import Testing

/// Logging never stops the work, whoever reads the logs.
@Suite(.timeLimit(.minutes(1))) struct LogOutputTests {
    /// A pipe of the least size that there is, one page.
    private final class SmallPipe: Sendable {
        let reader: CInt
        let writer: CInt
        let dropped = Mutex(0)

        init() throws {
            var ends: [CInt] = [0, 0]
            try #require(pipe(&ends) == 0)
            (reader, writer) = (ends[0], ends[1])
            // F_SETPIPE_SZ, which Glibc's module hides.
            let size = fcntl(writer, 1_031, 4_096)
            try #require(size == 4_096)
        }

        deinit {
            close(reader)
            close(writer)
        }

        var output: LogOutput {
            LogOutput(descriptor: writer) { [self] in dropped.withLock { $0 += 1 } }
        }

        /// What is in the pipe now.
        func take() -> String {
            var bytes = [UInt8](repeating: 0, count: 65_536)
            let count = read(reader, &bytes, bytes.count)
            return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
        }
    }

    /// Runs what may hang on a thread of its own.
    ///
    /// - Returns: whether it came back.
    private func returns(_ body: @escaping @Sendable () -> Void) async -> Bool {
        await withTaskGroup(of: Bool.self) { tasks in
            let (ends, end) = AsyncStream<Void>.makeStream()
            Thread.detachNewThread {
                body()
                end.yield()
            }
            tasks.addTask {
                for await _ in ends { return true }
                return false
            }
            tasks.addTask {
                try? await Task.sleep(for: .seconds(20))
                return false
            }
            let hasReturned = await tasks.next() ?? false
            tasks.cancelAll()
            return hasReturned
        }
    }

    @Test func aFullPipeLosesLinesAndStopsNobody() async throws {
        let pipe = try SmallPipe()
        let output = pipe.output
        let line = String(repeating: "a", count: 1_999) + "\n"
        let hasReturned = await returns { for _ in 0..<10 { output.write(line) } }
        try #require(hasReturned)
        let lost = pipe.dropped.withLock { $0 }
        let kept = pipe.take().split(separator: "\n")
        #expect(lost > 0 && lost + kept.count == 10)
        #expect(kept.allSatisfy { $0.count == 1_999 }, "no line was cut")

        output.write("after\n")
        #expect(pipe.take() == "after\n")
        #expect(pipe.dropped.withLock { $0 } == lost)
    }

    @Test func aLineThatWasCutOffIsNotTheStartOfTheNext() async throws {
        let pipe = try SmallPipe()
        let output = pipe.output
        let hasReturned = await returns {
            output.write(String(repeating: "a", count: 10_000) + "\n")
            output.write("lost\n")
        }
        try #require(hasReturned)
        #expect(pipe.take() == String(repeating: "a", count: 4_096))
        output.write("after\n")
        #expect(pipe.take() == "\nafter\n")
        #expect(pipe.dropped.withLock { $0 } == 2)
    }

    @Test func longLinesArriveWholeAtAReaderThatKeepsUp() async throws {
        var ends: [CInt] = [0, 0]
        try #require(pipe(&ends) == 0)
        defer {
            close(ends[0])
            close(ends[1])
        }
        let dropped = Mutex(0)
        let output = LogOutput(descriptor: ends[1]) { dropped.withLock { $0 += 1 } }
        let line = String(repeating: "ü", count: 10_000) + "\n"
        output.write(line)
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = read(ends[0], &bytes, bytes.count)
        #expect(String(decoding: bytes.prefix(count), as: UTF8.self) == line)
        #expect(dropped.withLock { $0 } == 0)
    }

    @Test func aReaderThatHasGoneLosesTheLine() throws {
        var ends: [CInt] = [0, 0]
        try #require(pipe(&ends) == 0)
        close(ends[0])
        defer { close(ends[1]) }
        let dropped = Mutex(0)
        // Without the look before it, this write would end the process: nothing here ignores SIGPIPE.
        LogOutput(descriptor: ends[1]) { dropped.withLock { $0 += 1 } }.write("nobody\n")
        #expect(dropped.withLock { $0 } == 1)
    }
}
