package io.ucp.bind;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/// A parameter by its global name, with everything that any rank's files hold of it.
///
/// @param chosen the rule, as it was chosen for the first of the local names
/// @param captures of the global name
/// @param holdings of all its local names
record Gathered(
        String name, Rules.Chosen chosen, Map<String, String> captures, List<Holding> holdings) {
    static Gathered of(String name, Rules.Chosen chosen, Map<String, String> captures) {
        return new Gathered(name, chosen, captures, new ArrayList<>());
    }

    /// Every state that some rank holds of it.
    Set<String> states() {
        Set<String> states = new LinkedHashSet<>();
        holdings.forEach(h -> states.addAll(h.states()));
        return states;
    }

    boolean isTrained() {
        for (Holding h : holdings) {
            for (String state : h.states()) {
                if (!state.equals(StateRules.WEIGHT)) {
                    return true;
                }
            }
        }
        return false;
    }
}
