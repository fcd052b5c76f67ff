import CLinux
package import Foundation
import Glibc
import Synchronization

/// A child process; its end is awaited without a thread of the pool.
///
/// Foundation's `Process` waits for the end through the run loop of the thread that started it, which a thread of Swift's
/// pool never runs: there the object stays for ever, and its end is only found by asking again and again.
package final class RunningProcess: Sendable {
    private struct State {
        var code: Int32?
        var waiting: [CheckedContinuation<Int32, Never>] = []
    }

    /// Its process id, which is also the id of nothing else while this object believes it runs.
    package let pid: Int32
    private let state = Mutex(State())

    /// Starts it, in a process group of its own, with none of this process's open files.
    ///
    /// - Parameters:
    ///   - input: a file for standard input; nil gives it nothing to read.
    ///   - output: a file for standard output; appended to.
    ///   - errors: a file for standard error; may be the same.
    /// - Throws: `POSIXError` if it cannot be started.
    package init(
        executable: String, arguments: [String], environment: [String: String], input: URL? = nil, output: URL,
        errors: URL
    ) throws {
        var files = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&files)
        defer { posix_spawn_file_actions_destroy(&files) }
        let append = O_WRONLY | O_CREAT | O_APPEND
        posix_spawn_file_actions_addopen(&files, STDIN_FILENO, input?.path ?? "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, output.path, append, 0o644)
        posix_spawn_file_actions_addopen(&files, STDERR_FILENO, errors.path, append, 0o644)
        clinux_close_from(&files, STDERR_FILENO + 1)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // The threads of the pool block signals, and a child inherits that.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))

        var words: [UnsafeMutablePointer<CChar>?] = ([executable] + arguments).map { strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0)=\($1)") } + [nil]
        defer { for text in words + variables { free(text) } }
        var child: pid_t = 0
        let failure = posix_spawn(&child, executable, &files, &attributes, &words, &variables)
        guard failure == 0 else { throw POSIXError(POSIXError.Code(rawValue: failure) ?? .EINVAL) }
        pid = child
        // A thread of its own, because waiting blocks; it ends with the child.
        Thread.detachNewThread { [self] in awaitEnd() }
    }

    /// Whether its end has not been seen yet.
    package var isRunning: Bool { state.withLock { $0.code == nil } }

    /// Sends a signal, if it still runs.
    package func signal(_ number: CInt) {
        state.withLock { state in
            if state.code == nil { kill(pid, number) }
        }
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

    private func awaitEnd() {
        var end = siginfo_t()
        // It stays a zombie, so that its id is nobody else's until no signal is sent to it any more.
        while waitid(P_PID, id_t(pid), &end, WEXITED | WNOWAIT) != 0, errno == EINTR {}
        let (code, waiting) = state.withLock { state in
            var status: CInt = 0
            while waitpid(pid, &status, 0) < 0, errno == EINTR {}
            // By convention of shells, a death by signal is 128 and the signal.
            let code = status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
            state.code = code
            defer { state.waiting = [] }
            return (code, state.waiting)
        }
        for continuation in waiting { continuation.resume(returning: code) }
    }
}
