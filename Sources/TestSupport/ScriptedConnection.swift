import Glibc
import Synchronization

/// The server's end of one connection; calls block, except `cut`.
package final class ScriptedConnection: Sendable {
    private struct State {
        var buffer: [UInt8] = []
        var isOpen = true
    }

    /// The place in the order of connections, from 0.
    package let number: Int
    private let descriptor: CInt
    private let state = Mutex(State())

    init(descriptor: CInt, number: Int) {
        self.descriptor = descriptor
        self.number = number
    }

    /// Whether this side has not closed yet.
    package var isOpen: Bool { state.withLock { $0.isOpen } }

    /// The next line without its line end; nil at the end of the stream.
    package func readLine() -> String? {
        while true {
            let line: String? = state.withLock { state in
                guard let end = state.buffer.firstIndex(of: 0x0a) else { return nil }
                var line = state.buffer[..<end]
                if line.last == 0x0d { line.removeLast() }
                let text = String(decoding: line, as: UTF8.self)
                state.buffer.removeSubrange(...end)
                return text
            }
            if let line { return line }
            guard fill() else { return nil }
        }
    }

    /// Exactly this many bytes; nil if the stream ends before.
    package func read(_ count: Int) -> [UInt8]? {
        while state.withLock({ $0.buffer.count }) < count {
            guard fill() else { return nil }
        }
        return state.withLock { state in
            let bytes = Array(state.buffer[..<count])
            state.buffer.removeSubrange(..<count)
            return bytes
        }
    }

    /// Sends text; false once the peer is gone.
    @discardableResult
    package func write(_ text: String) -> Bool { write(Array(text.utf8)) }

    /// Sends bytes; false once the peer is gone.
    @discardableResult
    package func write(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    /// Says nothing until the peer closes.
    package func waitForPeer() {
        while fill() {}
    }

    /// Closes with a reset instead of a goodbye.
    package func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close()
    }

    /// Closes in order.
    package func close() {
        state.withLock { state in
            if state.isOpen { Glibc.close(descriptor) }
            state.isOpen = false
        }
    }

    /// Wakes whoever reads or writes here; they find the stream at its end.
    func cut() {
        state.withLock { state in
            if state.isOpen { shutdown(descriptor, Int32(SHUT_RDWR)) }
        }
    }

    private func fill() -> Bool {
        guard isOpen else { return false }
        var chunk = [UInt8](repeating: 0, count: 16_384)
        let count = recv(descriptor, &chunk, chunk.count, 0)
        guard count > 0 else { return false }
        state.withLock { $0.buffer += chunk[..<count] }
        return true
    }
}
