package import Foundation
import Synchronization

/// A child process; its end is awaited without a thread that blocks.
package final class RunningProcess: Sendable {
    private struct State {
        var code: Int32?
        var waiting: [CheckedContinuation<Int32, Never>] = []
    }

    /// Its process id, which is also the id of nothing else while this object believes it runs.
    package let pid: pid_t
    private let state = Mutex(State())

    /// Starts it.
    ///
    /// - Parameters:
    ///   - output: a file for standard output; appended to.
    ///   - errors: a file for standard error; may be the same.
    package init(
        executable: String, arguments: [String], environment: [String: String], output: URL, errors: URL
    ) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        process.environment = environment
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try Self.appending(to: output)
        process.standardError = try Self.appending(to: errors)
        try process.run()
        pid = process.processIdentifier
        // A thread of its own, because waiting blocks; it ends with the child. `waitUntilExit` would keep a core busy there.
        let thread = Thread { [self] in
            while process.isRunning { Thread.sleep(forTimeInterval: 0.02) }
            // By convention of shells, a death by signal is 128 and the signal.
            ended(process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus)
        }
        thread.start()
    }

    /// Whether its end has not been seen yet.
    package var isRunning: Bool { state.withLock { $0.code == nil } }

    /// Sends a signal, if it still runs.
    package func signal(_ number: CInt) {
        guard isRunning else { return }
        kill(pid, number)
    }

    /// Its exit code; 128 and the number of the signal that ended it.
    package func waitForExit() async -> Int32 {
        await withCheckedContinuation { continuation in
            let code = state.withLock { state -> Int32? in
                if state.code == nil { state.waiting.append(continuation) }
                return state.code
            }
            if let code { continuation.resume(returning: code) }
        }
    }

    private func ended(_ code: Int32) {
        let waiting = state.withLock { state in
            state.code = code
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume(returning: code) }
    }

    private static func appending(to file: URL) throws -> FileHandle {
        if !FileManager.default.fileExists(atPath: file.path) {
            _ = FileManager.default.createFile(atPath: file.path, contents: nil)
        }
        let handle = try FileHandle(forWritingTo: file)
        try handle.seekToEnd()
        return handle
    }
}
