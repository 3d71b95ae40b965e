package io.ucp.bind;

import io.ucp.lang.ast.Clause;

import java.util.OptionalInt;

/// Where the members of numbered families are: layers on pipeline stages, experts on expert ranks.
interface MemberPlaces {
    /// The rank of the clause's axis that holds a member.
    ///
    /// @param member its global number, as the clause's capture gives it
    /// @return nothing where it is not known; then that has been said
    OptionalInt place(Clause clause, String member);
}
