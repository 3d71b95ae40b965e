package io.ucp.parity;

import java.util.List;

/// Members and the parity over them: see the package for how they lie.
///
/// @param name which ranks: `pp 0, tp 1`; may be empty
/// @param parity its files, the first plain XOR
record ParitySet(String name, List<Member> members, List<StoredFile> parity) {
    ParitySet {
        members = List.copyOf(members);
        parity = List.copyOf(parity);
    }

    /// What is lost together.
    ///
    /// @param name `node 3`, `dp 0`
    /// @param files end to end in this order
    record Member(String name, List<StoredFile> files) {
        Member {
            files = List.copyOf(files);
        }
    }

    CauchyCode code() {
        return new CauchyCode(members.size(), parity.size());
    }
}
