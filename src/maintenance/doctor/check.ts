export type CheckStatus = 'ok' | 'warning' | 'failed' | 'skipped';

export interface Check {
  name: string;
  status: CheckStatus;
  /** What was found. */
  detail: string;
  /** What to do about it; null: nothing. */
  advice: string | null;
}

export const ok = (name: string, detail: string): Check => ({ name, status: 'ok', detail, advice: null });
export const warning = (name: string, detail: string, advice: string): Check => ({ name, status: 'warning', detail, advice });
export const failed = (name: string, detail: string, advice: string): Check => ({ name, status: 'failed', detail, advice });
/** Cannot be told before something else is put right. */
export const skipped = (name: string, first: string): Check => ({ name, status: 'skipped', detail: `not looked at: ${first} first`, advice: null });
