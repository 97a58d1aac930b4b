/** Says how fresh the page is, and says so aloud when contact with the server is lost or back. */

import type { Lang } from '../api';
import { formatTime } from '../format';
import { translator } from '../snapshot';
import { byId, setAttribute, setText } from './dom';

export class Status {
  private readonly root = byId('status', HTMLElement);
  private readonly text = byId('status-text', HTMLElement);
  private readonly time = byId('status-time', HTMLElement);
  private readonly banner = byId('banner', HTMLElement);
  /** Heard by screen readers; the time of each update would only be noise there. */
  private readonly spoken = byId('spoken', HTMLElement);
  private updatedAt: number | null = null;
  private failing = false;

  updated(now: number, lang: Lang): void {
    if (this.failing) setText(this.spoken, translator(lang)('online'));
    this.failing = false;
    this.updatedAt = now;
    this.update(lang);
  }

  failed(lang: Lang): void {
    this.failing = true;
    this.update(lang);
    setText(this.spoken, this.banner.textContent);
  }

  update(lang: Lang): void {
    const t = translator(lang);
    const { failing, updatedAt } = this;
    setAttribute(this.root, 'data-state', failing ? 'offline' : 'online');
    this.banner.hidden = !failing;
    const time = updatedAt === null ? '' : formatTime(lang, updatedAt);
    setText(this.time, failing ? '' : time);
    if (failing) {
      setText(this.text, t('offlineShort'));
      setText(this.banner, updatedAt === null ? t('offlineStart') : t('offline', { time }));
    } else {
      setText(this.text, t(updatedAt === null ? 'loading' : 'updated'));
    }
  }
}
