import CCurl
import Glibc
import OwnerThread

/// The descriptors of a multi handle's connections, idle ones included. A class of its own because libcurl calls back with
/// it as late as inside the handle's cleanup.
final class OpenSockets {
    fileprivate(set) var descriptors: Set<CInt> = []

    /// Ends every wait for bytes from the peers, now and later; what is being written still goes out.
    ///
    /// libcurl says QUIT to an SMTP server and waits inside the same call for the answer, for as long as for any reply.
    /// Nobody needs that answer.
    func stopReading() {
        for descriptor in descriptors { shutdown(descriptor, Int32(SHUT_RD)) }
    }

    /// Ends the connections in both directions: not a byte more leaves.
    func cut() {
        for descriptor in descriptors { shutdown(descriptor, Int32(SHUT_RDWR)) }
    }
}

/// One libcurl multi handle: the transfers and the connections they share, driven by an owner thread.
///
/// libcurl says which descriptors and which time it waits for; the owner thread waits. Made, used and closed on that
/// thread only. `close` must come before the last reference goes.
final class MultiHandle {
    let raw: UnsafeMutableRawPointer
    private let thread: OwnerThread
    private let onReady: @Sendable (CInt, Readiness) -> Void
    private let onTimer: @Sendable () -> Void
    private let sockets = OpenSockets()
    private var watches: [CInt: OwnerThread.WatchID] = [:]
    private var timer: OwnerThread.TimerID?

    /// - Parameters:
    ///   - onReady: called on the thread when a descriptor is ready; answer with `act`.
    ///   - onTimer: called on the thread when the library's time has come; answer with `act`.
    init(
        thread: OwnerThread, onReady: @escaping @Sendable (CInt, Readiness) -> Void,
        onTimer: @escaping @Sendable () -> Void
    ) {
        Curl.initialize()
        guard let raw = curl_multi_init() else { preconditionFailure("no memory left for transfers") }
        self.raw = raw
        self.thread = thread
        self.onReady = onReady
        self.onTimer = onTimer
        // Unretained: `close` takes the callbacks away before this object goes.
        let context = Unmanaged.passUnretained(self).toOpaque()
        ccurl_multi_set_socket_function(
            raw,
            { _, descriptor, what, context, _ in
                guard let context else { return 0 }
                Unmanaged<MultiHandle>.fromOpaque(context).takeUnretainedValue().wait(for: what, on: descriptor)
                return 0
            }, context)
        ccurl_multi_set_timer_function(
            raw,
            { _, milliseconds, context in
                guard let context else { return 0 }
                Unmanaged<MultiHandle>.fromOpaque(context).takeUnretainedValue().wait(milliseconds: milliseconds)
                return 0
            }, context)
    }

    /// Closes every connection and frees the handle; its easy handles must have been removed.
    ///
    /// SMTP servers are told QUIT, without a wait for their answer.
    func close() {
        sockets.stopReading()
        ccurl_multi_set_socket_function(raw, nil, nil)
        ccurl_multi_set_timer_function(raw, nil, nil)
        for watch in watches.values { thread.unwatch(watch) }
        watches.removeAll()
        if let timer { thread.cancel(timer) }
        timer = nil
        curl_multi_cleanup(raw)
    }

    /// How many connections are open, idle ones included.
    var openConnections: Int { sockets.descriptors.count }

    /// Sets a limit of the handle.
    func set(_ option: CURLMoption, _ value: Int) {
        let code = ccurl_multi_set_long(raw, option, value)
        precondition(code == CURLM_OK, "libcurl refused a limit: \(code.rawValue)")
    }

    /// Keeps count of the connections that a transfer opens and closes.
    func countSockets(of easy: EasyHandle) throws(EasyHandle.OptionError) {
        easy.sockets = sockets
        // Unretained: this object keeps it until the handle, and every connection with it, is gone.
        let context = Unmanaged.passUnretained(sockets).toOpaque()
        try easy.check(
            ccurl_set_open_socket_function(
                easy.raw,
                { context, _, address in
                    guard let context, let address else { return CURL_SOCKET_BAD }
                    let type = address.pointee.socktype | Int32(SOCK_CLOEXEC.rawValue)
                    let descriptor = socket(address.pointee.family, type, address.pointee.`protocol`)
                    guard descriptor >= 0 else { return CURL_SOCKET_BAD }
                    Unmanaged<OpenSockets>.fromOpaque(context).takeUnretainedValue().descriptors.insert(descriptor)
                    return descriptor
                }, context))
        try easy.check(
            ccurl_set_close_socket_function(
                easy.raw,
                { context, descriptor in
                    if let context {
                        Unmanaged<OpenSockets>.fromOpaque(context).takeUnretainedValue().descriptors.remove(descriptor)
                    }
                    return Glibc.close(descriptor)
                }, context))
    }

    /// Lets the library work: on a ready descriptor, or because its time has come.
    func act(on descriptor: CInt? = nil, _ readiness: Readiness = []) {
        var events: CInt = 0
        // With an error, libcurl looks for itself (mask 0): it then tells "refused" from "broken".
        if !readiness.contains(.failed) {
            if readiness.contains(.readable) { events |= CURL_CSELECT_IN }
            if readiness.contains(.writable) { events |= CURL_CSELECT_OUT }
        }
        var running: CInt = 0
        let code = curl_multi_socket_action(raw, descriptor ?? ccurl_socket_timeout(), events, &running)
        precondition(code == CURLM_OK, "libcurl lost its state: \(code.rawValue)")
    }

    /// Takes the next finished transfer: its easy handle and result.
    func nextFinished() -> (easy: UnsafeMutableRawPointer, code: CURLcode)? {
        var left: CInt = 0
        while let message = curl_multi_info_read(raw, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle else { continue }
            return (easy, message.pointee.data.result)
        }
        return nil
    }

    private func wait(for what: CInt, on descriptor: CInt) {
        let interest: Readiness
        switch what {
        case CURL_POLL_IN: interest = .readable
        case CURL_POLL_OUT: interest = .writable
        case CURL_POLL_INOUT: interest = [.readable, .writable]
        default:
            if let watch = watches.removeValue(forKey: descriptor) { thread.unwatch(watch) }
            return
        }
        if let watch = watches[descriptor] {
            thread.update(watch, for: interest)
        } else {
            let onReady = onReady
            watches[descriptor] = thread.watch(descriptor, for: interest) { onReady(descriptor, $0) }
        }
    }

    private func wait(milliseconds: Int) {
        if let timer { thread.cancel(timer) }
        timer = milliseconds < 0 ? nil : thread.schedule(after: .milliseconds(milliseconds), handler: onTimer)
    }
}
