import Glibc
import Metrics
import Synchronization

/// A descriptor that whole lines are written to, one at a time.
package final class LogOutput: Sendable {
    /// Standard error: commands that print their result on standard output log beside it.
    package static let standardError = LogOutput(descriptor: 2) {
        Counter(label: "telemetry.log_lines.dropped").increment()
    }

    /// A pipe that is ready takes so much without waiting: `PIPE_BUF`, pipe(7).
    private static let chunkBytes = 4_096

    private let descriptor: CInt
    private let onDrop: @Sendable () -> Void
    /// Whether the last line was cut off in the middle.
    private let isCut = Mutex(false)

    /// - Parameters:
    ///   - descriptor: stays open as long as this lives, and is not closed here.
    ///   - onDrop: called after each line that was lost, in whole or in part, on the thread that wanted to write it.
    package init(descriptor: CInt, onDrop: @escaping @Sendable () -> Void) {
        self.descriptor = descriptor
        self.onDrop = onDrop
    }

    /// Writes a line, or as much of it as fits; a descriptor that takes no more loses the rest, because logging never
    /// stops the work.
    ///
    /// Readiness is asked before each piece. Making the descriptor non-blocking would be surer, but whoever else has it
    /// open, a shell or a parent, would find it so.
    @Sendable package func write(_ line: String) {
        let isWhole = isCut.withLock { isCut in
            // A line is never the end of another.
            var line = isCut ? "\n" + line : line
            return line.withUTF8 { bytes in
                var written = 0
                while written < bytes.count {
                    let piece = bytes[written..<min(written + Self.chunkBytes, bytes.count)]
                    let count = put(UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: piece)))
                    guard count > 0 else { break }
                    written += count
                }
                if written > 0 { isCut = written < bytes.count }
                return written == bytes.count
            }
        }
        if !isWhole { onDrop() }
    }

    /// How many bytes were taken; 0 or less if none can be without waiting, or none ever will be.
    private func put(_ bytes: UnsafeRawBufferPointer) -> Int {
        var count = -1
        repeat {
            var state = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            errno = 0
            guard poll(&state, 1, 0) > 0 ? state.revents == Int16(POLLOUT) : errno == EINTR else { return 0 }
            if state.revents != 0 { count = Glibc.write(descriptor, bytes.baseAddress, bytes.count) }
        } while count < 0 && errno == EINTR
        return count
    }
}
