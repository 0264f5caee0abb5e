//! The pages about errors (`plimsoll explain OAS-001`); those about rules are
//! with the rules.

use plimsoll_model::Page;

/// One page per error code.
pub const PAGES: &[Page] = &[
    Page {
        code: "OAS-001",
        name: "document-syntax",
        what: "A file of the API description is neither JSON nor YAML; the message names line and column.",
        why: "Half a document would be compared with a whole one, and everything in the lost half reported as removed.",
        how: "Mend the file at that line. A tab in YAML's indentation and a missing comma in JSON are the usual causes.",
    },
    Page {
        code: "OAS-002",
        name: "document-too-large",
        what: "The description exceeds a bound: 200 MB with all its files, 256 levels, 20 million values with YAML \
               aliases written out, or 2,000 files.",
        why: "A few lines of YAML aliases can stand for gigabytes; whoever writes a description must not be able to \
              stop the pipeline with it.",
        how: "Write aliases out, or use `$ref`, which costs nothing.",
    },
    Page {
        code: "OAS-003",
        name: "document-version",
        what: "The file has no `openapi` field that says 3.0 or 3.1.",
        why: "Another version means other things by the same words.",
        how: "Name the right file in `[contract] openapi`, or write the document as OpenAPI 3.0 or 3.1.",
    },
    Page {
        code: "OAS-004",
        name: "document-swagger",
        what: "The file is a Swagger 2.0 document.",
        why: "Its bodies, servers and security are written in other places; reading it as OpenAPI 3 would miss them \
              silently.",
        how: "Convert it once and keep the result: `npx swagger2openapi --outfile openapi.json swagger.json`.",
    },
    Page {
        code: "OAS-005",
        name: "document-reference",
        what: "A `$ref` leads nowhere: no such place in the file, no such file, or references that only refer to \
               each other.",
        why: "What it should describe is unknown, so no change of it can be seen.",
        how: "Mend the reference at the line that is named. References to other hosts are not followed: fetch the \
              file and refer to it by its path.",
    },
    Page {
        code: "OAS-006",
        name: "document-shape",
        what: "A part of the description has a shape that it cannot have, such as a list for `paths`.",
        why: "What it should say is unknown, so no change of it can be seen.",
        how: "Mend the file at the line that is named.",
    },
    Page {
        code: "OAS-007",
        name: "document-complexity",
        what: "Comparing the two descriptions took more steps than are spent on it.",
        why: "Schemas can be combined so that what they mean is exponentially larger than what is written.",
        how: "Look for chains of `allOf` in which each schema combines many others, and write them flatter.",
    },
    Page {
        code: "OAS-008",
        name: "accepted-break",
        what: "An entry of the list of accepted breaks is incomplete or names a rule that does not exist.",
        why: "An exception without a reason and an end accepts everything for ever.",
        how: "Give `rule`, `reason`, `until = \"YYYY-MM-DD\"`, and `path` (with `method`) or `component`.",
    },
];
