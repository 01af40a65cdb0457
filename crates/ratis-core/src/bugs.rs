//! Mistakes that tests plant to see whether the simulator finds them.

/// One mistake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Bug {
    /// A second candidate of the same term gets this node's vote, too.
    VoteTwice,
    /// The vote is not written down before the answer.
    VoteNotSaved,
    /// The candidate's log is not compared.
    VoteForOldLog,
    /// Answers to an earlier round count.
    VoteFromOtherRound,
    /// A candidate wins without a majority.
    MinorityWins,
    /// An entry of an earlier term is committed by counting copies.
    CommitOldTerm,
    /// A leader tells, and a follower believes, a commit index beyond what was compared.
    CommitUnverified,
    /// A follower answers before the disk has the entries.
    ReplyBeforeSync,
    /// A leader counts entries that its own disk does not have.
    LeaderCountsUnsynced,
    /// After a truncation, what was durable before still counts.
    DurableNotRewound,
    /// Only the index of the previous entry is compared.
    PreviousNotChecked,
    /// A read is answered without asking whether this is still the leader.
    ReadWithoutRound,
    /// The configuration is changed in one step.
    NoJointConfiguration,
    /// A leader takes requests before it has applied what earlier terms left.
    UnreadyLeaderServes,
    /// A leader answers reads before its term has a committed entry.
    ReadBeforeReady,
    /// Entries are reported durable without a sync (planted in the disk).
    SyncSkipped,
    /// The file with the vote is replaced, but its name is not synced (planted in the disk).
    VoteFileLost,
    /// An entry that was torn by a crash counts (planted in the disk).
    TornTailAccepted,
    /// A repeated request is not recognised (planted in the engine).
    RepetitionNotKnown,
}

impl Bug {
    pub(crate) const ALL: [Self; 19] = [
        Self::VoteTwice,
        Self::VoteNotSaved,
        Self::VoteForOldLog,
        Self::VoteFromOtherRound,
        Self::MinorityWins,
        Self::CommitOldTerm,
        Self::CommitUnverified,
        Self::ReplyBeforeSync,
        Self::LeaderCountsUnsynced,
        Self::DurableNotRewound,
        Self::PreviousNotChecked,
        Self::ReadWithoutRound,
        Self::NoJointConfiguration,
        Self::UnreadyLeaderServes,
        Self::ReadBeforeReady,
        Self::SyncSkipped,
        Self::VoteFileLost,
        Self::TornTailAccepted,
        Self::RepetitionNotKnown,
    ];
}
