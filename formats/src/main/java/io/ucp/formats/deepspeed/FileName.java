package io.ucp.formats.deepspeed;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// What the name of a file in a tag folder says it holds. `mp` numbers model-parallel ranks.
public sealed interface FileName {
    /// `mp_rank_00_model_states.pt`.
    record Model(int mp) implements FileName {}

    /// `zero_pp_rank_0_mp_rank_00_model_states.pt`: ZeRO-3, one per data-parallel rank.
    record ModelOfRank(int dp, int mp) implements FileName {}

    /// `bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt`.
    record Optimizer(int dp, int mp) implements FileName {}

    /// `layer_03-model_01-model_states.pt`; `tp` is 0 where the name has no model axis.
    record Layer(int layer, int tp) implements FileName {}

    /// `layer_0_expert_3_mp_rank_00_model_states.pt`; `expert` counts over all expert ranks.
    record Expert(int layer, int expert, int mp) implements FileName {}

    /// `expp_rank_0_mp_rank_00_optim_states.pt`: experts of a job without ZeRO.
    record ExpertOptimizer(int ep, int mp) implements FileName {}

    /// Any other file.
    record Side() implements FileName {}

    // A name with a rank past nine digits is no rank's file.
    Pattern MODEL = Pattern.compile("mp_rank_(\\d{1,9})_model_states\\.pt");
    Pattern MODEL_OF_RANK =
            Pattern.compile("zero_pp_rank_(\\d{1,9})_mp_rank_(\\d{1,9})_model_states\\.pt");
    // Before 0.3.16 the underscore before `optim_states` was missing.
    Pattern OPTIMIZER =
            Pattern.compile(
                    "(?:bf16_|fp16_)?zero_pp_rank_(\\d{1,9})_mp_rank_(\\d{1,9})_?optim_states\\.pt");
    Pattern LAYER = Pattern.compile("layer_(\\d{1,9})(?:-[a-z]+_(\\d{1,9}))?-model_states\\.pt");
    Pattern EXPERT =
            Pattern.compile(
                    "(?:layer_(\\d{1,9})_)?expert_(\\d{1,9})_mp_rank_(\\d{1,9})_model_states\\.pt");
    Pattern EXPERT_OPTIMIZER =
            Pattern.compile("expp_rank_(\\d{1,9})_mp_rank_(\\d{1,9})_optim_states\\.pt");

    static FileName of(String name) {
        Matcher m = MODEL.matcher(name);
        if (m.matches()) {
            return new Model(number(m, 1));
        }
        m = MODEL_OF_RANK.matcher(name);
        if (m.matches()) {
            return new ModelOfRank(number(m, 1), number(m, 2));
        }
        m = OPTIMIZER.matcher(name);
        if (m.matches()) {
            return new Optimizer(number(m, 1), number(m, 2));
        }
        m = LAYER.matcher(name);
        if (m.matches()) {
            return new Layer(number(m, 1), number(m, 2));
        }
        m = EXPERT.matcher(name);
        if (m.matches()) {
            return new Expert(number(m, 1), number(m, 2), number(m, 3));
        }
        m = EXPERT_OPTIMIZER.matcher(name);
        return m.matches() ? new ExpertOptimizer(number(m, 1), number(m, 2)) : new Side();
    }

    /// 0 where older names say none.
    private static int number(Matcher m, int group) {
        String digits = m.group(group);
        return digits == null ? 0 : Integer.parseInt(digits);
    }
}
