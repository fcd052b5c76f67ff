import CCurl

/// One libcurl easy handle with its error buffer, option lists and the bytes of one transfer. Used on one thread only.
///
/// `reset` makes it fit for another transfer; connections live in the multi handle, so nothing is lost with it.
final class EasyHandle {
    /// Why an option was refused: a mistake in a request, or a library without the feature.
    struct OptionError: Error {
        let code: CURLcode
    }

    let raw: UnsafeMutableRawPointer
    /// The sockets of the multi handle that the transfer runs on.
    weak var sockets: OpenSockets?
    private let errorBuffer: UnsafeMutablePointer<CChar>
    private var lists: [UnsafeMutablePointer<curl_slist>] = []

    init() {
        Curl.initialize()
        guard let raw = curl_easy_init() else { preconditionFailure("no memory left for a transfer") }
        self.raw = raw
        errorBuffer = .allocate(capacity: Int(CURL_ERROR_SIZE))
        errorBuffer.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        ccurl_set_pointer(raw, CURLOPT_ERRORBUFFER, errorBuffer)
    }

    deinit {
        curl_easy_cleanup(raw)
        freeLists()
        errorBuffer.deallocate()
    }

    /// Forgets every option of the last transfer.
    func reset() {
        curl_easy_reset(raw)
        freeLists()
        errorBuffer[0] = 0
        ccurl_set_pointer(raw, CURLOPT_ERRORBUFFER, errorBuffer)
    }

    func set(_ option: CURLoption, _ value: Int) throws(OptionError) {
        try check(ccurl_set_long(raw, option, value))
    }

    func set(_ option: CURLoption, _ value: Bool) throws(OptionError) {
        try check(ccurl_set_long(raw, option, value ? 1 : 0))
    }

    func set(_ option: CURLoption, _ value: String) throws(OptionError) {
        try check(ccurl_set_string(raw, option, value))
    }

    func set(_ option: CURLoption, large value: Int) throws(OptionError) {
        try check(ccurl_set_large(raw, option, curl_off_t(value)))
    }

    /// Sets a limit in whole milliseconds, at least one: zero would mean "none" to libcurl.
    func set(_ option: CURLoption, milliseconds value: Duration) throws(OptionError) {
        try set(option, max(1, min(value.wholeMilliseconds, Int(Int32.max))))
    }

    /// Sets a list of strings, kept until the next `reset`.
    func set(_ option: CURLoption, list: [String]) throws(OptionError) {
        var head: UnsafeMutablePointer<curl_slist>?
        for line in list {
            guard let longer = curl_slist_append(head, line) else { preconditionFailure("no memory left for a header") }
            head = longer
        }
        guard let head else { return }
        lists.append(head)
        try check(ccurl_set_list(raw, option, head))
    }

    func check(_ code: CURLcode) throws(OptionError) {
        guard code == CURLE_OK else { throw OptionError(code: code) }
    }

    func long(_ info: CURLINFO) -> Int {
        var value = 0
        return ccurl_get_long(raw, info, &value) == CURLE_OK ? value : 0
    }

    /// What the library says about a failure: its own sentence, which names hosts and ports but no credentials, or else the
    /// fixed text for the code. At most 200 characters, in one line.
    func explanation(of code: CURLcode) -> String {
        let text = HeaderText.clean(String(cString: errorBuffer), maxCharacters: 200)
        return text.isEmpty ? Curl.text(code) : text
    }

    private func freeLists() {
        for list in lists { curl_slist_free_all(list) }
        lists.removeAll()
    }
}

/// The library as a whole.
enum Curl {
    private static let initialized: Void = {
        // Thread-safe since 7.84 with the "threadsafe" feature; the lazy static makes it so everywhere.
        let code = ccurl_global_init()
        precondition(code == CURLE_OK, "libcurl cannot start")
    }()

    static func initialize() { _ = initialized }

    /// The library's name for a result code.
    static func text(_ code: CURLcode) -> String { String(cString: curl_easy_strerror(code)) }
}

extension Duration {
    /// Milliseconds, rounded up; at most about 292 million years' worth is not checked for.
    var wholeMilliseconds: Int {
        let (seconds, attoseconds) = components
        let (whole, overflow) = Int(seconds).multipliedReportingOverflow(by: 1_000)
        guard !overflow else { return seconds < 0 ? 0 : .max }
        return whole + Int((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
}
