import Glibc
import Synchronization

/// A descriptor that whole lines are written to, one at a time.
package final class LogOutput: Sendable {
    /// Standard error: commands that print their result on standard output log beside it.
    package static let standardError = LogOutput(descriptor: 2)

    private let descriptor: CInt
    private let isWriting = Mutex(())

    /// - Parameter descriptor: stays open as long as this lives, and is not closed here.
    package init(descriptor: CInt) {
        self.descriptor = descriptor
    }

    /// Writes a line; a descriptor that takes no more loses it, because logging never stops the work.
    @Sendable package func write(_ line: String) {
        var line = line
        line.withUTF8 { bytes in
            guard let start = bytes.baseAddress else { return }
            isWriting.withLock { _ in
                var written = 0
                while written < bytes.count {
                    let count = Glibc.write(descriptor, start + written, bytes.count - written)
                    if count > 0 {
                        written += count
                    } else if errno != EINTR {
                        return
                    }
                }
            }
        }
    }
}
