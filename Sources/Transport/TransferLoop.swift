import CCurl
import Glibc
import OwnerThread
import Synchronization

/// One transfer: how to set it up and what to make of its end. Lives on the owner thread.
protocol Transfer: AnyObject {
    associatedtype Output: Sendable

    /// Sets the options. The handle may keep unretained pointers to this object: the loop keeps it until `finish`.
    func configure(_ easy: EasyHandle) throws(EasyHandle.OptionError)

    /// Called before the unfinished transfer is taken away from libcurl, which may have some last words for the server.
    func abandon()

    /// Reads the result, before the handle is reset.
    func finish(_ easy: EasyHandle, _ end: TransferEnd) -> Output

    /// Whether connections may serve another transfer; asked after `finish`. False only for transfers that run one at a time,
    /// because it closes all connections of the loop.
    var leavesConnectionsUsable: Bool { get }
}

extension Transfer {
    func abandon() {}
    var leavesConnectionsUsable: Bool { true }
}

/// How a transfer ended.
enum TransferEnd {
    /// libcurl finished it, with success or with an error.
    case finished(CURLcode)
    /// An option was refused; nothing was sent.
    case refused(CURLcode)
    /// The task was cancelled.
    case cancelled
    /// The loop was closed.
    case closed
}

/// A request to stop a transfer that any thread may make, also while the owner thread is inside libcurl.
final class CancellationFlag: Sendable {
    private let flag = Atomic(false)
    var isSet: Bool { flag.load(ordering: .relaxed) }
    func set() { flag.store(true, ordering: .relaxed) }
}

/// Runs transfers on one multi handle and one owner thread.
actor TransferLoop {
    private struct Active {
        let easy: EasyHandle
        let abandon: () -> Void
        /// Tells the caller; answers whether the connections are still good.
        let finish: (TransferEnd) -> Bool
    }

    /// How many connections may be open and kept.
    struct Limits: Sendable {
        var connectionsPerHost: Int
        var connections: Int
        /// Idle connections are closed this long after the last transfer.
        var idleTimeout: Duration
    }

    private let thread: OwnerThread
    private let limits: Limits
    private let lastID = Atomic<UInt>(0)
    private var multi: MultiHandle?
    private var active: [UInt: Active] = [:]
    private var spare: [EasyHandle] = []
    private var idleTimer: OwnerThread.TimerID?
    private var isClosed = false

    /// Easy handles kept for later transfers; each costs about 20 KiB.
    private static let maxSpareHandles = 16

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    init(name: String, limits: Limits) {
        thread = OwnerThread(name: name)
        self.limits = limits
    }

    isolated deinit {
        // No transfer is under way: its caller would keep this object.
        spare.removeAll()
        multi?.close()
        thread.stop()
    }

    /// Runs one transfer to its end. Cancelling the task removes it from the multi handle at once.
    ///
    /// - Parameters:
    ///   - cancellation: set when the task is cancelled, for a transfer that must look while libcurl blocks.
    ///   - make: makes the transfer, on the owner thread.
    nonisolated func run<T: Transfer>(
        cancellation: CancellationFlag? = nil, _ make: @escaping @Sendable () -> T
    ) async -> T.Output {
        let id = lastID.add(1, ordering: .relaxed).newValue
        return await withTaskCancellationHandler {
            await start(id, make)
        } onCancel: {
            cancellation?.set()
            // A timer instead of a task: it runs on the thread between two of libcurl's turns, without a wait.
            thread.schedule(after: .zero) { [weak self] in self?.assumeIsolated { $0.end(id, .cancelled) } }
        }
    }

    /// Ends every transfer as closed, closes every connection and stops the thread.
    func close() {
        isClosed = true
        for id in active.keys { end(id, .closed) }
        spare.removeAll()
        closeConnections()
        thread.stop()
    }

    /// Connections open now, idle ones included.
    var openConnections: Int { multi?.openConnections ?? 0 }

    private func start<T: Transfer>(_ id: UInt, _ make: @Sendable () -> T) async -> T.Output {
        await withCheckedContinuation { continuation in
            let transfer = make()
            let easy = spare.popLast() ?? EasyHandle()
            active[id] = Active(easy: easy, abandon: transfer.abandon) { end in
                continuation.resume(returning: transfer.finish(easy, end))
                return transfer.leavesConnectionsUsable
            }
            if isClosed { return end(id, .closed, isAdded: false) }
            if Task.isCancelled { return end(id, .cancelled, isAdded: false) }
            let multi = openMulti()
            do throws(EasyHandle.OptionError) {
                try Self.configureBasics(easy, id)
                try multi.countSockets(of: easy)
                try transfer.configure(easy)
            } catch {
                return end(id, .refused(error.code), isAdded: false)
            }
            // Adding only sets the timer to zero; the first work is done from the loop.
            let code = curl_multi_add_handle(multi.raw, easy.raw)
            precondition(code == CURLM_OK, "libcurl refused a transfer: \(code.rawValue)")
        }
    }

    /// What every transfer has in common: no signals, no proxy or password file from the environment.
    private static func configureBasics(_ easy: EasyHandle, _ id: UInt) throws(EasyHandle.OptionError) {
        try easy.check(ccurl_set_pointer(easy.raw, CURLOPT_PRIVATE, UnsafeRawPointer(bitPattern: id)))
        try easy.set(CURLOPT_NOSIGNAL, true)
        try easy.set(CURLOPT_PROXY, "")
        try easy.set(CURLOPT_NETRC, Int(CURL_NETRC_IGNORED.rawValue))
        try easy.set(CURLOPT_TCP_KEEPALIVE, true)
        try easy.set(CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2)
        try easy.set(CURLOPT_SSL_VERIFYPEER, 1)
        try easy.set(CURLOPT_SSL_VERIFYHOST, 2)
        // Else removing a transfer would wait for its resolver thread.
        try easy.set(CURLOPT_QUICK_EXIT, true)
    }

    private func openMulti() -> MultiHandle {
        if let idleTimer { thread.cancel(idleTimer) }
        idleTimer = nil
        if let multi { return multi }
        let opened = MultiHandle(
            thread: thread,
            onReady: { [weak self] descriptor, readiness in
                self?.assumeIsolated { $0.act(on: descriptor, readiness) }
            },
            onTimer: { [weak self] in self?.assumeIsolated { $0.act() } })
        opened.set(CURLMOPT_MAX_HOST_CONNECTIONS, limits.connectionsPerHost)
        opened.set(CURLMOPT_MAX_TOTAL_CONNECTIONS, limits.connections)
        opened.set(CURLMOPT_MAXCONNECTS, limits.connections)
        multi = opened
        return opened
    }

    private func act(on descriptor: CInt? = nil, _ readiness: Readiness = []) {
        multi?.act(on: descriptor, readiness)
        // Asked for anew each time: the end of a transfer may close the multi handle.
        while let (easy, code) = multi?.nextFinished() {
            var context: UnsafeMutableRawPointer?
            ccurl_get_pointer(easy, CURLINFO_PRIVATE, &context)
            end(UInt(bitPattern: context), .finished(code))
        }
    }

    /// Takes a transfer out of libcurl, tells its caller and keeps the handle for another.
    private func end(_ id: UInt, _ end: TransferEnd, isAdded: Bool = true) {
        guard let entry = active.removeValue(forKey: id) else { return }
        if isAdded, let multi {
            if case .finished = end {} else { entry.abandon() }
            curl_multi_remove_handle(multi.raw, entry.easy.raw)
        }
        let isUsable = entry.finish(end)
        entry.easy.reset()
        if !isUsable {
            precondition(active.isEmpty, "a transfer that closes connections must be alone")
            closeConnections()
        }
        if spare.count < Self.maxSpareHandles, !isClosed { spare.append(entry.easy) }
        if active.isEmpty, multi != nil, idleTimer == nil {
            idleTimer = thread.schedule(after: limits.idleTimeout) { [weak self] in
                self?.assumeIsolated { $0.closeIdle() }
            }
        }
    }

    private func closeIdle() {
        idleTimer = nil
        if active.isEmpty { closeConnections() }
    }

    private func closeConnections() {
        multi?.close()
        multi = nil
    }
}
