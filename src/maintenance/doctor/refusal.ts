import { StartError } from '../../errors.js';
import type { Check } from './check.js';

/** Ends a start with the words that doctor has for the same cause. @throws StartError when the check has failed */
export function refuseFailed({ status, detail, advice }: Check): void {
  if (status === 'failed') throw new StartError(detail, advice ?? 'see reelfuse doctor');
}
