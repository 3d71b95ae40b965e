package io.ucp.formats.deepspeed.writing;

/// Which ranks hold which experts: ranks that hold the same ones are an expert-data group, over
/// which their optimizer groups are cut.
///
/// Experts divide the data-parallel ranks of each tensor-parallel rank; where they are not cut over
/// tensor-parallel ranks, all ranks of a stage, `dp * tp_degree + tp`. Of the ranks that they
/// divide, expert-parallel rank `e` is `e, e + degree, ..`; with
/// `use_data_before_expert_parallelism` the block of `replicas` ranks from `e * replicas` on.
///
/// Source: DeepSpeed `moe/layer.py` (`_create_process_groups`), `utils/groups.py`
/// (`_create_expert_and_data_parallel`, `_get_expert_parallel_ranks`).
///
/// @param degree expert-parallel ranks, 0 where there are no experts
/// @param replicas ranks that hold the same experts
/// @param across tensor-parallel ranks that experts divide too, 1 where they do not
record ExpertPlaces(int degree, int replicas, boolean blocks, int across) {
    static final ExpertPlaces NONE = new ExpertPlaces(0, 1, false, 1);

    private int number(int mp, int dp) {
        return dp * across + mp % across;
    }

    /// The expert-parallel rank that a rank is.
    int of(int mp, int dp) {
        if (degree == 0) {
            return 0;
        }
        return blocks ? number(mp, dp) / replicas : number(mp, dp) % degree;
    }

    /// Its place among the ranks that hold the same experts.
    int replica(int mp, int dp) {
        return blocks ? number(mp, dp) % replicas : number(mp, dp) / Math.max(1, degree);
    }
}
