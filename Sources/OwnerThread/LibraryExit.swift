import Glibc

/// Keeps OpenSSL from taking itself apart at `exit()` while threads still end.
///
/// OpenSSL cleans up in an `atexit` handler. A thread that has used it has a destructor of OpenSSL's too, which runs
/// after the thread's last line; when both meet, the destructor takes a lock that is gone, and a process that had done
/// everything right ends with a segmentation fault. The process is about to give everything back to the kernel, so the
/// handler is worth nothing here.
///
/// `OPENSSL_INIT_NO_ATEXIT` (OPENSSL_init_crypto(3), 0x00080000) counts only in the first call that initialises the
/// library, so it is made before the first owner thread, hence before libpq, libcurl and librabbitmq get to make theirs.
enum LibraryExit {
    private typealias Initialise = @convention(c) (UInt64, UnsafeRawPointer?) -> CInt

    /// True if OpenSSL is in the process and took the setting. Looked up at run time, because it comes with the
    /// libraries, which may be built with another TLS library.
    static let isQuiet: Bool = {
        guard let address = unsafe dlsym(nil, "OPENSSL_init_crypto") else { return false }
        let initialise = unsafe unsafeBitCast(address, to: Initialise.self)
        return initialise(0x0008_0000, nil) == 1
    }()
}
