//! The pages of `plimsoll explain` for connections.

use plimsoll_model::Page;

/// One page for each code of this crate.
pub const PAGES: &[Page] = &[
    Page {
        code: "DBS-001",
        name: "database-url",
        what: "The URL of a database is `postgres://USER:PASSWORD@HOST:PORT/DATABASE?OPTION=VALUE`, as libpq reads it. \
               Options: sslmode, sslrootcert, sslcert, sslkey, connect_timeout, application_name, options, \
               target_session_attrs, channel_binding, keepalives and what belongs to them; Prisma's `schema`. Options of \
               connection pools are ignored, others are an error.",
        why: "A misspelt `sslmode` that is ignored would send a password in the clear.",
        how: "Correct the URL where it comes from (`plimsoll config show --origin`). Special characters of a password are \
              written in percent form: `@` as `%40`, `/` as `%2F`, `?` as `%3F`, `#` as `%23`.",
    },
    Page {
        code: "DBS-002",
        name: "database-unreachable",
        what: "Nobody answers at the host and port of the URL, its name is not known, or the answer does not come in time.",
        why: "Nothing can be said about a database that does not answer; in particular not that it has no migrations.",
        how: "Look whether the server is up and whether a firewall lies in between: `pg_isready -h HOST -p PORT`. \
              `connect_timeout=SECONDS` in the URL sets how long is waited.",
    },
    Page {
        code: "DBS-003",
        name: "database-not-accepting",
        what: "The server answers and takes no connection: it is starting, shutting down, in recovery, or has no place left.",
        why: "It will pass or needs an administrator; it says nothing about what is in the database.",
        how: "Try again in a moment. When it stays full, look at `max_connections` and at who holds connections: \
              `SELECT application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2`.",
    },
    Page {
        code: "DBS-004",
        name: "database-denied",
        what: "The server does not let this user in: wrong or missing password, unknown role, no rule in pg_hba.conf, or no \
               right to connect to this database.",
        why: "Whom the server does not let in can be told nothing about the database; nothing was done.",
        how: "Give the password with the URL through `env:NAME`, `file:PATH` or `command:CMD`, or in PGPASSWORD. The server's \
              own log says more than it tells a client.",
    },
    Page {
        code: "DBS-005",
        name: "database-missing",
        what: "The server has no database of this name.",
        why: "Plimsoll makes tables, never databases: who owns one, and how it is backed up, is not its to decide.",
        how: "Make it with `createdb`, or correct the last part of the URL.",
    },
    Page {
        code: "DBS-006",
        name: "database-without-tls",
        what: "The URL demands TLS (`sslmode=require`, `verify-ca`, `verify-full`) and the server offers none.",
        why: "Going on without it would show the password and all data to everybody on the way.",
        how: "Switch TLS on in the server (`ssl = on`, with a certificate), or say `sslmode=prefer` or `disable` where the way \
              to it is trusted.",
    },
    Page {
        code: "DBS-007",
        name: "database-tls",
        what: "The TLS handshake failed: the certificate is not signed by a trusted authority, is for another host, or is no \
               longer valid; or both sides have no version in common.",
        why: "Whoever answers may not be the database.",
        how: "Name the authority with `sslrootcert=FILE`, or `sslrootcert=system` for what the machine trusts, which is also \
              the default. `sslmode=verify-ca` leaves the host's name out of account; `require` without `sslrootcert` \
              encrypts without proof of who answers.",
    },
    Page {
        code: "DBS-008",
        name: "database-certificate-file",
        what: "A file that the URL names for TLS cannot be read or is not a certificate or unencrypted key in PEM form.",
        why: "Without it the server cannot be verified, or cannot verify this client.",
        how: "Correct `sslrootcert`, `sslcert` or `sslkey` in the URL. Encrypted keys are not supported.",
    },
    Page {
        code: "DBS-009",
        name: "database-lost",
        what: "The connection ended in the middle of an operation: the server went down, somebody ended the session, or the \
               network broke.",
        why: "A statement that was sent may or may not have taken effect. Plimsoll asks again instead of assuming either.",
        how: "Run the command again. What belongs to a transaction is done as a whole or not at all; for a migration \
              `plimsoll migrate status` says where it stands.",
    },
    Page {
        code: "DBS-010",
        name: "database-query",
        what: "The database refused a statement. The message is its own, the SQLSTATE is explained in appendix A of the \
               PostgreSQL documentation. Details that hold values of rows are left out.",
        why: "What was to be done was not done.",
        how: "Rights that are missing (42501) are granted by an owner; for the others the message names the object.",
    },
    Page {
        code: "DBS-011",
        name: "database-nonsense",
        what: "The answer to a query has not the form that was asked for, or breaks the protocol.",
        why: "What answers is perhaps no PostgreSQL, or a proxy in between that changes what passes.",
        how: "Connect without the proxy. If it stays, report it with the server's version.",
    },
];
