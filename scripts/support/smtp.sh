# shellcheck shell=bash
# The private SMTP server: STARTTLS and AUTH required; accepted messages are lines of .local/smtp/mailbox.jsonl.

smtp_dir() { printf '%s/smtp\n' "$(data_root)"; }
smtp_running() { running smtp "$(smtp_dir)/smtp_server.py"; }

smtp_start() {
    local dir
    place smtp
    dir=$(smtp_dir)
    claim smtp smtps
    install_tls "$dir"
    secret smtp | private_file "$dir/password"
    # The account may not be able to read the checkout.
    private_file "$dir/smtp_server.py" <"$root/scripts/support/smtp_server.py"
    # Ours, whatever release the other servers come from.
    rootfs='' launch smtp "$dir/smtp_server.py" "$state/log/smtp.log" "$python" "$dir/smtp_server.py" --port "$(port smtp)" \
        --implicit-tls-port "$(port smtps)" --certificate "$dir/server.pem" --key "$dir/server-key.pem" \
        --user neff --password-file "$dir/password" --mailbox "$dir/mailbox.jsonl"
}

smtp_await() { await smtp "$(smtp_dir)/smtp_server.py" "$state/log/smtp.log" 20 listening "$(port smtps)"; }
smtp_stop() { halt smtp "$(smtp_dir)/smtp_server.py" TERM 5; }
